from __future__ import annotations

from django.urls import path, re_path

from promises.ledger import pages

# The seller's log stands at /log/, each other one at /log/<purpose>/.
OTHERS = r"(?:(?P<purpose>demo|audit)/)?"

urlpatterns = [
    re_path(rf"^log/{OTHERS}checkpoint$", pages.checkpoint, name="log-checkpoint"),
    re_path(rf"^log/{OTHERS}tile/entries/(?P<path>[0-9x/.p]+)$", pages.entry_tile, name="log-entries"),
    re_path(
        rf"^log/{OTHERS}tile/(?P<level>[0-9]{{1,2}})/(?P<path>[0-9x/.p]+)$", pages.hash_tile, name="log-tile"
    ),
    re_path(rf"^log/{OTHERS}keys$", pages.all_keys, name="log-keys"),
    path("log/witness/add-checkpoint", pages.add_checkpoint, name="witness-add"),
    path("log/witness/key", pages.witness_keys, name="witness-key"),
    path(".well-known/promise-keys.txt", pages.all_keys, name="promise-keys"),
    re_path(r"^log/(?P<number>[^/]{1,40})\.tlog-proof$", pages.proof, name="log-proof"),
]
