"""The folder ``public``, as Starlette serves it."""

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

application = Starlette(routes=[Mount("/", StaticFiles(directory="public"))])
