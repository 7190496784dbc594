"""Django's settings."""

from sqlalchemy import make_url

from performance.peers.settings import DATABASE_URL

_url = make_url(DATABASE_URL)

SECRET_KEY = "nothing is signed with it"  # noqa: S105
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "performance.peers.drf.urls"
INSTALLED_APPS = ["rest_framework", "performance.peers.drf.apps.Todos"]
MIDDLEWARE: list[str] = []
USE_TZ = True
TIME_ZONE = "UTC"
APPEND_SLASH = False
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _url.database,
        "USER": _url.username,
        "PASSWORD": _url.password,
        "HOST": _url.host,
        "PORT": _url.port,
        "CONN_MAX_AGE": None,
    }
}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "UNAUTHENTICATED_USER": None,
}
