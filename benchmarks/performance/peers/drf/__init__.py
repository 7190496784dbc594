"""Django REST framework as its tutorial has it: a ModelSerializer, a ModelViewSet and a router; on gunicorn's threads.

It does not isolate users in the database: the view set filters. It has no middleware, session or browsable pages: only
JSON. Its connections are persistent, one for each thread.
"""
