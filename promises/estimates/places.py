"""Which clock a promise is kept by: the one at its destination."""

from __future__ import annotations

from orders.models import Order

# Countries with several zones stand with the one that most people live in: an order's address names no zone.
ZONES = {
    "CN": "Asia/Shanghai", "HK": "Asia/Hong_Kong", "MO": "Asia/Macau", "TW": "Asia/Taipei", "JP": "Asia/Tokyo",
    "KR": "Asia/Seoul", "SG": "Asia/Singapore", "MY": "Asia/Kuala_Lumpur", "TH": "Asia/Bangkok",
    "VN": "Asia/Ho_Chi_Minh", "ID": "Asia/Jakarta", "PH": "Asia/Manila", "IN": "Asia/Kolkata",
    "KZ": "Asia/Almaty", "AE": "Asia/Dubai", "SA": "Asia/Riyadh", "IL": "Asia/Jerusalem", "TR": "Europe/Istanbul",
    "RU": "Europe/Moscow", "UA": "Europe/Kyiv", "PL": "Europe/Warsaw", "DE": "Europe/Berlin",
    "FR": "Europe/Paris", "ES": "Europe/Madrid", "IT": "Europe/Rome", "NL": "Europe/Amsterdam",
    "BE": "Europe/Brussels", "GB": "Europe/London", "PT": "Europe/Lisbon", "CZ": "Europe/Prague",
    "US": "America/New_York", "CA": "America/Toronto", "MX": "America/Mexico_City",
    "BR": "America/Sao_Paulo", "CL": "America/Santiago", "AR": "America/Argentina/Buenos_Aires",
    "CO": "America/Bogota", "PE": "America/Lima", "AU": "Australia/Sydney", "NZ": "Pacific/Auckland",
    "ZA": "Africa/Johannesburg", "EG": "Africa/Cairo", "NG": "Africa/Lagos", "KE": "Africa/Nairobi",
}  # fmt: skip


def zone_of(order: Order) -> str:
    """The zone of the country that the order goes to; the shop's own where no country is known."""
    return ZONES.get(order.country.upper(), order.shop.timezone)
