"""Django on D1 and in a Durable Object, by django-cf."""

import os

from django_cf import DjangoCF, DjangoCFDurableObject

from workers import DurableObject, WorkerEntrypoint

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")


class Notes(DjangoCFDurableObject, DurableObject):
    async def get_app(self):
        os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
        from project.wsgi import object_application

        return object_application


class Default(DjangoCF, WorkerEntrypoint):
    async def get_app(self):
        from project.wsgi import application

        return application

    async def fetch(self, request):
        if "/object/" in request.url:
            return await self.env.NOTES.getByName("all").fetch(request)
        return await super().fetch(request)
