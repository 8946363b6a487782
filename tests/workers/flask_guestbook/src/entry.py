"""Flask through WSGI: forms, a template, cookies, KV by run_sync."""

from flask import Flask, flash, get_flashed_messages, jsonify, redirect, render_template_string, request, session
from pyodide.ffi import run_sync

from workers import wsgi

PAGE = "{% for name, text in entries %}<p><b>{{ name }}</b> {{ text }}</p>{% endfor %}{{ flashed|join(',') }}"
app = Flask(__name__)
app.secret_key = "not-a-secret"


@app.get("/")
def index():
    kv = request.environ["workers.env"].GUESTS
    names = [key["name"] for key in run_sync(kv.list())["keys"]]
    entries = [(name, run_sync(kv.get(name))) for name in names]
    return render_template_string(PAGE, entries=entries, flashed=get_flashed_messages())


@app.post("/")
def sign():
    kv = request.environ["workers.env"].GUESTS
    run_sync(kv.put(request.form["name"], request.form["text"]))
    session["visits"] = session.get("visits", 0) + 1
    flash("thanks")
    return redirect("/")


@app.get("/visits")
def visits():
    return jsonify(visits=session.get("visits", 0))


@app.post("/upload")
def upload():
    size = 0
    while chunk := request.stream.read(65536):
        size += len(chunk)
    return {"size": size}


Default = wsgi.entrypoint(app)
