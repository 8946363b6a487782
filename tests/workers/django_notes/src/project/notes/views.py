import json

from django.core.management import call_command
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt

from project.notes.models import Note


def migrate(request, database="default"):
    call_command("migrate", database=database, verbosity=0)
    return HttpResponse("migrated")


@csrf_exempt
def notes(request, database):
    kept = Note.objects.using(database)
    if request.method == "POST":
        given = json.loads(request.body)
        kept.create(text=given["text"], done=given.get("done", False))
    if request.method == "DELETE":
        kept.filter(done=True).delete()
    rows = kept.order_by("id").values("id", "text", "done")
    return JsonResponse({"notes": list(rows), "open": kept.filter(done=False).count()})


def page(request):
    return render(request, "page.html", {"notes": Note.objects.order_by("id")})
