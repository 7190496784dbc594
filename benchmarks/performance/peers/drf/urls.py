"""The routes."""

from rest_framework.routers import SimpleRouter

from performance.peers.drf.views import TodoViewSet

router = SimpleRouter(trailing_slash=False)
router.register("api/v1/todos", TodoViewSet, basename="todo")
urlpatterns = router.urls
