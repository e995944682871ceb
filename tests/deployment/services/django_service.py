"""A Django service, under WSGI (`application`) and ASGI (`asgi`)."""

from __future__ import annotations

import django
from django.conf import settings
from django.http import JsonResponse
from django.urls import path
from work import TRACED, awork, work


def answer(_request, number):
    return JsonResponse(work(number))


async def answer_async(_request, number):
    return JsonResponse(await awork(number))


settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    MIDDLEWARE=["tracespool.integrations.django.TracespoolMiddleware"] if TRACED else [],
    TRACESPOOL={"observation": True},
)
django.setup()

urlpatterns = [path("work/<int:number>", answer), path("awork/<int:number>", answer_async)]

from django.core.asgi import get_asgi_application  # noqa: E402: after django.setup()
from django.core.wsgi import get_wsgi_application  # noqa: E402

application = get_wsgi_application()
asgi = get_asgi_application()
