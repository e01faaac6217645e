from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promises import merkle

# The entries and roots that implementations of RFC 6962 test each other with.
ENTRIES = [
    bytes.fromhex(text)
    for text in (
        *("", "00", "10", "2021", "3031", "40414243", "5051525354555657"),
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


class Tree:
    """Nodes in memory; reading one that is not complete yet fails."""

    def __init__(self, entries):
        self.nodes = {}
        self.size = 0
        self.add(entries)

    def add(self, entries):
        leaves = [merkle.leaf_hash(entry) for entry in entries]
        for level, index, value in merkle.append(self.size, leaves, self.read):
            assert (level, index) not in self.nodes
            self.nodes[level, index] = value
        self.size += len(leaves)

    def read(self, level, index):
        return self.nodes[level, index]

    def root(self, size=None):
        return merkle.root(self.size if size is None else size, self.read)


def tree_of(n):
    return Tree([b"%d" % number for number in range(n)])


def plain_root(leaves):
    """The definition of RFC 6962, 2.1, as it stands there."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + plain_root(leaves[:k]) + plain_root(leaves[k:])).digest()


@pytest.mark.parametrize("n", range(1, 9))
def test_the_roots_are_those_of_rfc_6962(n):
    assert Tree(ENTRIES[:n]).root().hex() == ROOTS[n - 1]


def test_the_empty_tree_has_the_hash_of_nothing():
    assert Tree([]).root() == hashlib.sha256(b"").digest()


@given(st.lists(st.integers(0, 9), max_size=12), st.integers(0, 80))
def test_appending_in_any_portions_gives_the_same_tree(portions, n):
    whole = tree_of(n)
    entries = [b"%d" % number for number in range(n)]
    grown = Tree([])
    for portion in portions:
        grown.add(entries[grown.size : grown.size + portion])

    grown.add(entries[grown.size :])

    assert grown.nodes == whole.nodes
    assert grown.root() == plain_root([merkle.leaf_hash(entry) for entry in entries])


def test_every_entry_of_every_size_is_proved_and_only_at_its_place():
    for size in range(1, 40):
        tree = tree_of(size)
        for index in range(size):
            path = merkle.inclusion(index, size, tree.read)
            leaf = tree.read(0, index)

            merkle.check_inclusion(leaf, index, size, path, tree.root())

            assert len(path) <= (size - 1).bit_length()
            for elsewhere in {0, size // 2, size - 1} - {index}:
                with pytest.raises(merkle.BadProof):
                    merkle.check_inclusion(leaf, elsewhere, size, path, tree.root())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path[:-1],
        lambda path: [*path, path[0]],
        lambda path: path[::-1],
        lambda path: [bytes(32), *path[1:]],
        lambda path: [path[0][:31], *path[1:]],
    ],
)
def test_a_spoilt_path_proves_nothing(spoil):
    tree = tree_of(21)
    path = merkle.inclusion(5, 21, tree.read)

    with pytest.raises(merkle.BadProof):
        merkle.check_inclusion(tree.read(0, 5), 5, 21, spoil(path), tree.root())


def test_every_tree_begins_with_every_smaller_one():
    tree = tree_of(40)
    for new in range(41):
        for old in range(new + 1):
            proof = merkle.consistency(old, new, tree.read)

            merkle.check_consistency(old, new, tree.root(old), tree.root(new), proof)


@given(st.integers(1, 39), st.integers(0, 38), st.sampled_from(["alter", "swap", "drop"]))
def test_a_rewritten_history_is_never_consistent(old, place, how):
    place %= old
    entries = [b"%d" % number for number in range(40)]
    if how == "alter":
        entries[place] = b"another"
    elif how == "swap":
        entries[place], entries[39] = entries[39], entries[place]
    else:
        del entries[place]
    forged = Tree(entries)
    honest_root = tree_of(old).root()

    proof = merkle.consistency(old, forged.size, forged.read)

    with pytest.raises(merkle.BadProof):
        merkle.check_consistency(old, forged.size, honest_root, forged.root(), proof)


def test_a_log_that_shrinks_or_forks_is_refused():
    tree, other = tree_of(8), Tree([b"other"] * 8)

    with pytest.raises(merkle.BadProof):
        merkle.check_consistency(8, 7, tree.root(), tree.root(7), [])
    with pytest.raises(merkle.BadProof):
        merkle.check_consistency(8, 8, tree.root(), other.root(), [])


@given(st.integers(1, 60), st.integers(1, 60), st.data())
def test_a_proof_with_one_hash_changed_is_refused(old, more, data):
    tree = tree_of(old + more)
    proof = merkle.consistency(old, old + more, tree.read)
    place = data.draw(st.integers(0, len(proof) - 1))

    proof[place] = bytes(32)

    with pytest.raises(merkle.BadProof):
        merkle.check_consistency(old, old + more, tree.root(old), tree.root(), proof)
