from django.urls import path

from project.notes import views

urlpatterns = [
    path("migrate/", views.migrate),
    path("notes/", views.notes, {"database": "default"}),
    path("notes/page/", views.page),
    path("object/migrate/", views.migrate, {"database": "object"}),
    path("object/notes/", views.notes, {"database": "object"}),
]
