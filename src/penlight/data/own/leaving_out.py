"""Which files of a dataset are no pictures of it: masks beside pictures, and what systems put into folders.

They are proposed as patterns that stand in the description, so that a person can see and correct them.
"""

from collections.abc import Mapping, Sequence

from penlight.data.own import naming
from penlight.data.own.listing import Tree
from penlight.data.own.templates import matcher
from penlight.formats import not_read_ending


def propose_ignored(tree: Tree) -> dict[str, Sequence[str]]:
    """Give patterns of files to leave out, by why: "masks" and "folders of systems and tools"."""
    found: dict[str, Sequence[str]] = {}
    parts = {part for path in (*tree.pictures, *tree.others) for part in path.split("/")[:-1]}
    if junk := sorted(parts & set(naming.JUNK)):
        found["folders of systems and tools"] = _in_folders(tree, junk)
    # A folder "..._GroundTruth" of tables is none of masks.
    of_pictures = {part for path in tree.pictures for part in path.split("/")[:-1]}
    mask_folders = sorted(part for part in of_pictures if naming.is_mask_folder(part))
    patterns = _in_folders(tree, mask_folders)
    in_mask = matcher(patterns)
    # Where all pictures are in them, they are the pictures.
    patterns = patterns if any(not in_mask(path) for path in tree.pictures) else []
    if masks := [*patterns, *_mask_names(tree)]:
        found["masks"] = masks
    return found


def _in_folders(tree: Tree, names: Sequence[str]) -> list[str]:
    paths = (*tree.pictures, *tree.others)
    patterns = []
    for name in names:
        patterns += [f"{name}/*"] * any(path.startswith(f"{name}/") for path in paths)
        patterns += [f"*/{name}/*"] * any(f"/{name}/" in path for path in paths)
    return patterns


def _mask_names(tree: Tree) -> list[str]:
    """Give patterns of files that are named after the picture beside them, with an ending such as "_mask"."""
    stems: dict[str, set[str]] = {}
    for path in tree.pictures:
        folder, _, name = path.rpartition("/")
        stems.setdefault(folder, set()).add(name.rpartition(".")[0])
    endings: dict[str, list[bool]] = {}
    for names in stems.values():
        for stem in names:
            if (of := naming.mask_stem(stem)) is not None:
                endings.setdefault(stem[len(of) :].rstrip("0123456789"), []).append(of in names)
    found = []
    for ending, beside in sorted(endings.items()):
        if sum(beside) * 2 > len(beside):
            found.append(f"*{ending}[0-9]*.*" if ending[-1] in "_-" else f"*{ending}.*")
    return found


def not_read(tree: Tree) -> list[str]:
    """Give the files in folders whose ending is that of a picture of a kind that is not read."""
    return [path for path in tree.others if "/" in path and not_read_ending(path)]


def count_left_out(tree: Tree, ignored: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Give the pictures that patterns leave out, by why."""
    found: dict[str, list[str]] = {}
    left = set(tree.pictures)
    for why, patterns in ignored.items():
        matches = matcher(patterns)
        paths = [path for path in tree.pictures if path in left and matches(path)]
        left -= set(paths)
        if paths:
            found[why] = paths
    return found
