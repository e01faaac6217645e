from __future__ import annotations

from django.urls import path

from orders.api import OrderDetail

urlpatterns = [path("api/v1/orders/<str:number>/", OrderDetail.as_view(), name="api-order")]
