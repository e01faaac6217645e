"""The Merkle tree of RFC 6962 (section 2.1): roots, inclusion and consistency proofs, and their checks. Pure.

A tree of n leaves is kept as the hashes of its complete subtrees: node (level, index) covers the leaves
[index * 2**level, (index + 1) * 2**level). Whoever stores them passes a function that reads one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence

Hash = bytes
Read = Callable[[int, int], Hash]
Node = tuple[int, int, Hash]

HASH_SIZE = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()


class BadProof(ValueError):
    """A proof that proves nothing: wrong length, wrong size, or hashes that lead elsewhere."""


def leaf_hash(entry: bytes) -> Hash:
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: Hash, right: Hash) -> Hash:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _split(n: int) -> int:
    """The largest power of two below n."""
    return 1 << ((n - 1).bit_length() - 1)


def _subtree(start: int, n: int, read: Read) -> Hash:
    """The hash over the leaves [start, start + n); start is a multiple of the largest power of two below n."""
    if n & (n - 1) == 0 and start % n == 0:
        level = n.bit_length() - 1
        return read(level, start >> level)
    k = _split(n)
    return node_hash(_subtree(start, k, read), _subtree(start + k, n - k, read))


def root(size: int, read: Read) -> Hash:
    return _subtree(0, size, read) if size else EMPTY_ROOT


def append(size: int, leaves: Sequence[Hash], read: Read) -> Iterator[Node]:
    """The nodes that become complete when these leaf hashes follow the first size leaves, lower levels first per leaf."""
    made: dict[tuple[int, int], Hash] = {}
    for index, leaf in enumerate(leaves, start=size):
        level, node = 0, leaf
        made[0, index] = leaf
        yield 0, index, leaf
        while index >> level & 1:
            left = (level, (index >> level) - 1)
            node = node_hash(made[left] if left in made else read(*left), node)
            level += 1
            made[level, index >> level] = node
            yield level, index >> level, node


def inclusion(index: int, size: int, read: Read) -> list[Hash]:
    """The audit path of leaf index in the tree of that size. Raises IndexError outside the tree."""
    if not 0 <= index < size:
        raise IndexError(f"leaf {index} is not in a tree of {size}")
    path: list[Hash] = []
    start, n = 0, size
    while n > 1:
        k = _split(n)
        if index - start < k:
            path.append(_subtree(start + k, n - k, read))
            n = k
        else:
            path.append(_subtree(start, k, read))
            start, n = start + k, n - k
    return path[::-1]


def consistency(old: int, new: int, read: Read) -> list[Hash]:
    """The proof that the tree of size new begins with the tree of size old. Raises IndexError for impossible sizes."""
    if not 0 <= old <= new:
        raise IndexError(f"a tree of {new} does not begin with one of {old}")
    if old in {0, new}:
        return []
    proof: list[Hash] = []
    start, n, is_whole = 0, new, True
    while old != n:
        k = _split(n)
        if old <= k:
            proof.append(_subtree(start + k, n - k, read))
            n = k
        else:
            proof.append(_subtree(start, k, read))
            start, n, old, is_whole = start + k, n - k, old - k, False
    return ([] if is_whole else [_subtree(start, n, read)]) + proof[::-1]


def root_from_inclusion(leaf: Hash, index: int, size: int, path: Sequence[Hash]) -> Hash:
    """The root that this audit path leads to (RFC 9162, 2.1.3.2). Raises BadProof if it cannot belong to that place."""
    if not 0 <= index < size:
        raise BadProof("the entry is outside the tree")
    fn, sn, node = index, size - 1, leaf
    for step in path:
        if sn == 0 or len(step) != HASH_SIZE:
            raise BadProof("the path is too long")
        if fn & 1 or fn == sn:
            node = node_hash(step, node)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            node = node_hash(node, step)
        fn, sn = fn >> 1, sn >> 1
    if sn:
        raise BadProof("the path is too short")
    return node


def check_inclusion(leaf: Hash, index: int, size: int, path: Sequence[Hash], tree_root: Hash) -> None:
    if root_from_inclusion(leaf, index, size, path) != tree_root:
        raise BadProof("the entry is not in this tree")


def check_consistency(old: int, new: int, old_root: Hash, new_root: Hash, proof: Sequence[Hash]) -> None:
    """That the larger tree begins with the smaller one (RFC 9162, 2.1.4.2). Raises BadProof."""
    if old > new or old < 0:
        raise BadProof("a log does not shrink")
    if old in {0, new}:
        if proof or (old == new and old_root != new_root) or (old == 0 and old_root != EMPTY_ROOT):
            raise BadProof("two trees of one size differ" if old == new else "the proof should be empty")
        return
    steps = list(proof)
    if any(len(step) != HASH_SIZE for step in steps):
        raise BadProof("a hash has the wrong length")
    if old & (old - 1) == 0:
        steps.insert(0, old_root)
    if not steps:
        raise BadProof("the proof is empty")
    first, second = _both_roots(old - 1, new - 1, steps)
    if first != old_root or second != new_root:
        raise BadProof("the larger tree does not begin with the smaller one")


def _both_roots(fn: int, sn: int, steps: Sequence[Hash]) -> tuple[Hash, Hash]:
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    first = second = steps[0]
    for step in steps[1:]:
        if sn == 0:
            raise BadProof("the proof is too long")
        if fn & 1 or fn == sn:
            first, second = node_hash(step, first), node_hash(step, second)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            second = node_hash(second, step)
        fn, sn = fn >> 1, sn >> 1
    if sn:
        raise BadProof("the proof is too short")
    return first, second
