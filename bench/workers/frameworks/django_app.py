"""A page of Django's, with its template: as a worker's, and on uvicorn alone."""

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.template import Context, Template
from django.urls import path

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="of a benchmark", TEMPLATES=[
    {"BACKEND": "django.template.backends.django.DjangoTemplates"}
])  # fmt: skip
django.setup()
PAGE = Template("<!doctype html><title>{{ title }}</title><ul>{% for n in numbers %}<li>{{ n }}</li>{% endfor %}</ul>")


async def root(request: HttpRequest) -> HttpResponse:
    return HttpResponse(PAGE.render(Context({"title": "Hello from Python!", "numbers": range(20)})))


urlpatterns = [path("", root)]
app = get_asgi_application()
