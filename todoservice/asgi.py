"""The app for servers that want an object and no factory: `fastapi dev`, `fastapi run`."""

from todoservice.app import create_app

app = create_app()
