"""What the demo seller has and whom it sells to: shops, warehouses, systems, articles, customers. All invented."""

from __future__ import annotations

import random
from dataclasses import dataclass
from decimal import Decimal

from orders.contacts import Person
from orders.stages import Role


@dataclass(frozen=True, slots=True)
class ShopRow:
    code: str
    name: str
    platform: str
    warehouse: str
    share: int
    currency: str = "CNY"
    is_abroad: bool = False


SHOPS = [
    ShopRow("demo-site", "示例汽配官网", "site", "demo-gz", 30),
    ShopRow("demo-taobao", "示例汽配淘宝店", "taobao", "demo-ks", 32),
    ShopRow("demo-pdd", "示例汽配拼多多店", "pinduoduo", "demo-zz", 24),
    ShopRow(
        "demo-aliexpress", "示例汽配速卖通店", "aliexpress", "demo-gz", 14, currency="USD", is_abroad=True
    ),
]
# code: (name, region)
WAREHOUSES = {
    "demo-gz": ("广州示例仓", "华南"),
    "demo-ks": ("昆山示例仓", "华东"),
    "demo-zz": ("郑州示例仓", "华中"),
}
WAREHOUSE_CALENDAR = "示例仓库班次"
WAREHOUSE_WEEK = [[["08:30", "18:00"]]] * 6 + [[]]

ERP, WMS, CARRIER, CARRIER_ABROAD, FINANCE = (
    "demo-erp", "demo-wms", "demo-express", "demo-post", "demo-finance",
)  # fmt: skip
# Systems beside the shops; every shop is a connection of its own, named like the shop.
SYSTEMS = {
    ERP: ("示例进销存", Role.ERP),
    WMS: ("示例仓库系统", Role.WMS),
    CARRIER: ("示例快递", Role.CARRIER),
    CARRIER_ABROAD: ("示例国际邮政", Role.CARRIER),
    FINANCE: ("示例财务系统", Role.FINANCE),
}
ROLE_OF: dict[str, str] = {slug: role.value for slug, (_name, role) in SYSTEMS.items()} | {
    shop.code: Role.SHOP.value for shop in SHOPS
}


@dataclass(frozen=True, slots=True)
class Article:
    sku: str
    name: str
    unit: str
    price: Decimal


# code, name, unit, lowest and highest price in yuan
_FAMILIES = [
    ("BPF", "前刹车片", "套", 68, 260),
    ("BPR", "后刹车片", "套", 58, 220),
    ("BRD", "刹车盘", "片", 95, 380),
    ("OFL", "机油滤清器", "个", 12, 45),
    ("AFL", "空气滤清器", "个", 15, 60),
    ("CFL", "空调滤清器", "个", 14, 75),
    ("SPK", "铱金火花塞", "支", 22, 88),
    ("WBL", "无骨雨刮片", "对", 18, 66),
    ("BAT", "启停蓄电池", "个", 320, 780),
    ("SHK", "减震器", "支", 130, 460),
]
_FITS = ["1.5L轿车", "2.0T轿车", "紧凑型SUV", "中型SUV", "MPV", "皮卡"]


def articles() -> list[Article]:
    """Sixty articles; the same ones every time."""
    chance = random.Random(60)  # noqa: S311 - demo goods, not secrets
    return [
        Article(
            sku=f"{code}-{1010 + 10 * position}",
            name=f"{name} {fit}",
            unit=unit,
            price=Decimal(chance.randint(low * 10, high * 10)) / 10,
        )
        for code, name, unit, low, high in _FAMILIES
        for position, fit in enumerate(_FITS)
    ]


@dataclass(frozen=True, slots=True)
class Buyer:
    """One customer company with the person who receives its goods."""

    code: str
    name: str
    stars: int | None
    region: str
    country: str
    person: Person
    # Everybody orders now and then, a few all the time.
    weight: int
    # Counts owners: the buyer belongs to the sales person of this number.
    owner: int


_PLACES = [
    ("华南", "广东省", "广州市"), ("华南", "广东省", "佛山市"), ("华南", "广西壮族自治区", "南宁市"),
    ("华东", "江苏省", "苏州市"), ("华东", "浙江省", "杭州市"), ("华东", "上海市", "上海市"), ("华东", "山东省", "济南市"),
    ("华中", "河南省", "郑州市"), ("华中", "湖北省", "武汉市"), ("华中", "湖南省", "长沙市"),
    ("华北", "河北省", "石家庄市"), ("西南", "四川省", "成都市"),
]  # fmt: skip
_SURNAMES = "王李张刘陈杨赵黄周吴徐孙"
_ABROAD = [
    ("BR", "São Paulo"),
    ("ES", "Madrid"),
    ("KZ", "Almaty"),
    ("MX", "Puebla"),
    ("PL", "Gdańsk"),
    ("CL", "Santiago"),
]
N_BUYERS = 300
FIRST_ABROAD = 250


def buyers() -> list[Buyer]:
    """Three hundred customers; the same ones every time. The last fifty are abroad."""
    chance = random.Random(300)  # noqa: S311
    return [_buyer(number, chance) for number in range(1, N_BUYERS + 1)]


def _buyer(number: int, chance: random.Random) -> Buyer:
    stars = chance.choice([None, 1, 2, 3, 3, 4, 4, 5])
    weight = chance.choice([1, 1, 1, 2, 3, 8])
    owner = number % 5
    if number > FIRST_ABROAD:
        country, city = chance.choice(_ABROAD)
        person: Person = {
            # 555-01xx is kept free of real subscribers for use in fiction.
            "name": f"Buyer {number:03d}", "phone": f"+1 202 555 01{number % 100:02d}", "country": country,
            "city": city, "street": f"Sample Street {number}",
        }  # fmt: skip
        return Buyer(
            f"DEMO-{number:04d}",
            f"Sample Auto Parts {number:03d}",
            stars,
            "海外",
            country,
            person,
            weight,
            owner,
        )
    region, province, city = chance.choice(_PLACES)
    person = {
        "name": chance.choice(_SURNAMES) + chance.choice(["先生", "女士"]),
        "phone": f"13800000{number:03d}", "country": "CN", "province": province, "city": city,
        "street": f"示例路 {number} 号",
    }  # fmt: skip
    return Buyer(f"DEMO-{number:04d}", f"示例汽配 {number:03d}", stars, region, "CN", person, weight, owner)


def warehouse_near(region: str) -> str:
    return {"华南": "demo-gz", "西南": "demo-gz", "海外": "demo-gz", "华东": "demo-ks"}.get(region, "demo-zz")
