"""The town where the partners live: one loop that plays their lives against the clock and posts their letters."""

from __future__ import annotations

import heapq
import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from integrations.sandbox.acquaintance import Acquaintance
from integrations.sandbox.mischief import Control
from integrations.sandbox.plots import PREFIX, Beat, Plot, Seen
from integrations.sandbox.post import SLOW_DOWN, UNREACHABLE, WAITS, Answer, Hub, Letter

# Seconds at speed 1.
NEW_ORDER_EVERY = 15.0
CARRY_ON_EVERY = 2.0
# Seconds whatever the speed.
LOOK_EVERY = 1.0
SUM_UP_EVERY = 30.0
READ_EVERY = 300.0
READ_AGAIN_AFTER = 3.0
# With more letters than this on hand the hub is down or too slow: no new orders until it has caught up.
MOST_ON_HAND = 1000
LONGEST_SLEEP = 0.5


class Town:
    """Runs until told to stop. say: where sentences for people go."""

    def __init__(
        self,
        known: Acquaintance,
        hub: Hub,
        control: Control,
        *,
        chance: random.Random,
        say: Callable[[str], None],
        most_orders: int | None = None,
        carries_on: bool = True,
    ) -> None:
        self.known, self.hub, self.control, self.chance, self.say = known, hub, control, chance, say
        self.most_orders, self.carries_on = most_orders, carries_on
        self.plot = Plot(known, chance)
        self.counts: Counter[str] = Counter()
        self.enough = threading.Event()
        self._due: list[tuple[float, int, Letter]] = []
        self._number = itertools.count(1)
        # Two runs at the same second must not use the same ids.
        self._run = f"{int(time.time()):x}{chance.getrandbits(24):06x}"
        self._own: set[str] = set()
        self._open: dict[str, list[Seen]] = {}
        self._stopped: set[str] = set()
        self._not_before: dict[str, float] = {}
        self._next = dict.fromkeys(("look", "order", "carry_on", "read"), 0.0) | {
            "sum_up": time.monotonic() + SUM_UP_EVERY
        }

    # --- the loop

    def run(self, max_seconds: float | None = None) -> None:
        """Until `enough` is set, the time is up, or nothing is left to do."""
        end = time.monotonic() + max_seconds if max_seconds is not None else None
        while not self.enough.is_set():
            moment = time.monotonic()
            if end is not None and moment >= end:
                return
            self._plan(moment)
            if self._due and self._due[0][0] <= moment and not self.control.mischief.paused:
                self._post(heapq.heappop(self._due)[2], moment)
            elif self._is_done():
                return
            else:
                self.enough.wait(self._pause(moment))

    def _is_done(self) -> bool:
        has_placed_all = self.most_orders is not None and self.counts["orders"] >= self.most_orders
        return has_placed_all and not self._due and not self.carries_on

    def _pause(self, moment: float) -> float:
        nearest = self._due[0][0] - moment if self._due else LONGEST_SLEEP
        if self.control.mischief.paused:
            nearest = LONGEST_SLEEP
        return max(0.0, min(nearest, LONGEST_SLEEP, CARRY_ON_EVERY / self.control.mischief.speed))

    def _plan(self, moment: float) -> None:
        speed = self.control.mischief.speed
        if self._is_time("look", moment, LOOK_EVERY) and (news := self.control.look()):
            self.say(news)
        if self._is_time("sum_up", moment, SUM_UP_EVERY):
            self.say(self.summary())
        if self.control.mischief.paused or len(self._due) >= MOST_ON_HAND:
            return
        wants_order = self.most_orders is None or self.counts["orders"] < self.most_orders
        if wants_order and self._is_time("order", moment, NEW_ORDER_EVERY / speed):
            self._begin_life(moment)
        if self.carries_on:
            if self._is_time("read", moment, READ_EVERY):
                self._read_open(moment)
            if self._is_time("carry_on", moment, CARRY_ON_EVERY / speed):
                self._carry_on(moment)

    def _is_time(self, what: str, moment: float, every: float) -> bool:
        if moment < self._next[what]:
            return False
        self._next[what] = moment + every
        return True

    # --- lives

    def _begin_life(self, moment: float) -> None:
        mischief = self.control.mischief
        external_id = f"{PREFIX}{self._run}{next(self._number):05d}".upper()
        at = datetime.now(UTC)
        beats = self.plot.new_order(external_id, at, contradict=mischief.contradict)
        self._own.add(external_id)
        self.counts["orders"] += 1
        for position, beat in enumerate(beats):
            later = beats[position + 1].after if position + 1 < len(beats) else beat.after
            lateness = 0.0
            if later > beat.after and self.chance.random() < mischief.reorder:
                lateness = (later - beat.after) + 1
            self._plan_letter(beat, at, moment, lateness / mischief.speed)

    def _plan_letter(self, beat: Beat, at: datetime, moment: float, lateness: float) -> None:
        """Put the letter where its time and the mischief say. What it tells of happened on time, however late it comes."""
        mischief = self.control.mischief
        after = beat.after / mischief.speed
        letter = Letter(beat.slug, self._draw_id(), beat.kind, at + timedelta(seconds=after), dict(beat.data))
        if self.chance.random() < mischief.drop:
            self.counts["dropped"] += 1
            return
        if lateness:
            self.counts["reordered"] += 1
        self._put(letter, moment + after + lateness + self.chance.uniform(0, mischief.delay))

    def _draw_id(self) -> str:
        return f"msg_{self._run}_{next(self._number)}"

    def _put(self, letter: Letter, due: float) -> None:
        heapq.heappush(self._due, (due, next(self._number), letter))

    def _read_open(self, moment: float) -> None:
        """Learn which orders wait for something the partners could say."""
        found: dict[str, list[Seen]] = {}
        for item in self._open_items():
            if item is None:
                self._next["read"] = moment + READ_AGAIN_AFTER
                return
            if self.plot.may_carry_on(item) and item["external_id"] not in self._own:
                seen = Seen(item["shop"], item["external_id"], item["stage"], item["waybill"])
                found.setdefault(seen.stage, []).append(seen)
        self._open = found

    def _open_items(self) -> Iterator[dict[str, Any] | None]:
        after = ""
        while True:
            page = self.hub.open_orders(after)
            if page is None:
                yield None
                return
            yield from page[0]
            after = page[1]
            if not after or self.enough.is_set():
                return

    def _carry_on(self, moment: float) -> None:
        """Say the next thing about one open order, each stage with the same chance: so something moves everywhere."""
        stages = [stage for stage, orders in self._open.items() if orders]
        if not stages:
            return
        orders = self._open[self.chance.choice(stages)]
        order = orders.pop(self.chance.randrange(len(orders)))
        at = datetime.now(UTC)
        told = self.plot.next_beat(order, at.date())
        if told is None:
            return
        beat, stage = told
        self._plan_letter(beat, at, moment, 0.0)
        waybill = str(beat.data.get("parcel", "")) or order.waybill
        self._open.setdefault(stage, []).append(Seen(order.shop, order.external_id, stage, waybill))

    # --- letters

    def _post(self, letter: Letter, moment: float) -> None:
        if letter.slug in self._stopped:
            self.counts["withheld"] += 1
            return
        if moment < self._not_before.get(letter.slug, 0.0):
            self._put(letter, self._not_before[letter.slug])
            return
        letter.tries += 1
        self.counts["sent"] += 1
        answer = self.hub.push(letter, self.known.partners[letter.slug].secret, datetime.now(UTC))
        if answer.is_taken:
            self.counts["accepted" if answer.status == 202 else "known"] += 1
            self._maybe_again(letter, moment)
        elif answer.status == 410:
            self._stopped.add(letter.slug)
            self.say(f"{letter.slug}: the hub says 410, stop sending; it hears nothing more from us")
        else:
            self._try_later(letter, answer)

    def _maybe_again(self, letter: Letter, moment: float) -> None:
        """Some senders never learn that they were heard."""
        mischief = self.control.mischief
        if not letter.is_copy and self.chance.random() < mischief.duplicate:
            letter.is_copy, letter.tries = True, 0
            self.counts["duplicated"] += 1
            self._put(letter, moment + self.chance.uniform(0.5, 8) / mischief.speed)

    def _try_later(self, letter: Letter, answer: Answer) -> None:
        self.counts["unreachable" if answer.status == UNREACHABLE else f"answered {answer.status}"] += 1
        if letter.tries > len(WAITS):
            self.counts["given up"] += 1
            self.say(
                f"{letter.slug}: {letter.kind} given up after {letter.tries} tries: {answer.status} {answer.text[:200]}"
            )
            return
        # Jitter, so that everybody who failed together does not come back together.
        wait = WAITS[letter.tries - 1] * self.chance.uniform(0.8, 1.2)
        wait = max(wait, answer.retry_after or 0.0)
        due = time.monotonic() + wait
        if answer.status in SLOW_DOWN:
            self._not_before[letter.slug] = due
        self._put(letter, due)

    def summary(self) -> str:
        """One line: what was sent and what the hub said to it."""
        known = ("orders", "sent", "accepted", "known")
        parts = [f"{self.counts[name]} {name}" for name in known]
        parts += [f"{count} {name}" for name, count in sorted(self.counts.items()) if name not in known]
        return f"{', '.join(parts)}; {len(self._due)} on hand; {self.control.mischief}"
