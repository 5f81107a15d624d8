"""Which files of one's own a command task watches: those that its scripts source, import, call or name."""

from __future__ import annotations

import shutil
import sys

import pytest

from subtrain import Design, Study
from subtrain.errors import MismatchError
from subtrain.tasks import command

# Each world: the command, its files, and those of them that count. What is written, or only data, does not.
WORLDS = {
    "sourced": (
        ["bash", "train.sh", "{job}"],
        {
            "train.sh": '#!/bin/bash\nHERE=$(dirname "$0")\nsource "$HERE/lib/common.sh"\n. ./settings\n',
            "lib/common.sh": "source lib/more.sh\n",
            "lib/more.sh": "true\n",
            "settings": "RATE=1\n",
            "other.sh": "true\n",
        },
        {"train.sh", "lib/common.sh", "lib/more.sh", "settings"},
    ),
    "imported": (
        [sys.executable, "src/train.py", "{job}"],
        {
            "src/train.py": "import helper\nfrom pack import deep\nfrom pack.side import f\nimport numpy\n",
            "src/helper.py": "import below\n",
            "src/below.py": "RATE = 1\n",
            "src/pack/__init__.py": "",
            "src/pack/deep.py": "from . import near\n",
            "src/pack/near.py": "from ..helper import RATE\n",
            "src/pack/side.py": "",
            "src/unused.py": "",
            "numpy.md": "",
        },
        {f"src/{name}.py" for name in ("train", "helper", "below", "pack/__init__", "pack/deep", "pack/near")}
        | {"src/pack/side.py"},
    ),
    "called by a shell": (
        ["./run.sh", "{job}"],
        {
            "run.sh": "#!/bin/sh\npython code/train.py --config conf.yaml $1 > out.json 2> train.log\n./tool $1\n",
            "code/train.py": "import helper\n",
            "code/helper.py": "",
            "conf.yaml": "rate: 1",
            "out.json": "{}",
            "train.log": "",
            "tool": "#!/bin/sh\n. code/of_tool.sh\n",
            "code/of_tool.sh": "",
        },
        {"run.sh", "code/train.py", "code/helper.py", "conf.yaml", "tool", "code/of_tool.sh"},
    ),
    "settings": (
        [sys.executable, "train.py", "{job}"],
        {
            "train.py": "a = json.load(open('a.json'))\njson.dump(a, open('b.json', 'w'))\nopen('c.csv')\n",
            "a.json": "{}",
            "b.json": "{}",
            "c.csv": "1",
        },
        {"train.py", "a.json"},
    ),
    "perl": (
        ["perl", "-Ilib", "train.pl", "{job}"],
        {"train.pl": "use My::Helper;\n", "lib/My/Helper.pm": "1;", "My/Helper.pm": "1;"},
        {"train.pl", "My/Helper.pm"},
    ),
    "a module": (
        [sys.executable, "-m", "pack.train", "{job}"],
        {"pack/__init__.py": "", "pack/train.py": "from . import near\n", "pack/near.py": "", "pack/far.py": ""},
        {"pack/__init__.py", "pack/train.py", "pack/near.py"},
    ),
    "in a word": (
        ["bash", "-c", ". ./lib.sh; train $1 --config=conf.toml", "bash", "{job}"],
        {"lib.sh": "", "conf.toml": "", "conf2.toml": ""},
        {"lib.sh", "conf.toml"},
    ),
}


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if text.startswith("#!"):
            path.chmod(0o755)


def make(words, folder, **options):
    if words[0] == "perl" and shutil.which("perl") is None:
        pytest.skip("there is no perl here")
    return command(words, 4, {"a": [2]}, folder=folder, **options)


@pytest.mark.parametrize("name", WORLDS)
def test_an_edit_is_noticed_where_it_counts_and_only_there(name, tmp_path):
    words, files, counting = WORLDS[name]
    write(tmp_path, files)
    before = make(words, tmp_path)
    found = set(before.watched.parts) - {"the command", "the settings"}
    assert found == {file.removeprefix("src/") for file in counting}
    noticed = set()
    for file, text in files.items():
        (tmp_path / file).write_text(text + "\n# edited")
        if make(words, tmp_path).fingerprint != before.fingerprint:
            noticed.add(file)
        (tmp_path / file).write_text(text)
    assert noticed == counting


def test_a_script_outside_the_folder_it_runs_in_counts_with_what_it_sources(tmp_path):
    write(tmp_path / "code", {"train.sh": '#!/bin/sh\n. "$(dirname $0)/lib.sh"\n', "lib.sh": ""})
    (tmp_path / "work").mkdir()
    words = ["../code/train.sh", "{job}"]
    before = make(words, tmp_path / "work")
    assert {"train.sh", "lib.sh"} <= set(before.watched.parts)
    (tmp_path / "code" / "lib.sh").write_text("RATE=2")
    assert make(words, tmp_path / "work").fingerprint != before.fingerprint


def test_a_script_is_the_same_from_wherever_it_runs(tmp_path):
    words, files, _ = WORLDS["imported"]
    write(tmp_path / "a" / "b", files)
    words = [words[0], str(tmp_path / "a" / "b" / "src" / "train.py"), words[2]]
    prints = {make(words, folder).fingerprint for folder in (tmp_path, tmp_path / "a" / "b", tmp_path / "a" / "b/src")}
    assert len(prints) == 1


def test_folders_that_moved_and_programs_that_are_installed_change_nothing(tmp_path):
    words, files, _ = WORLDS["imported"]
    write(tmp_path / "a", files)
    write(tmp_path / "elsewhere" / "b", files)
    here, there = make(words, tmp_path / "a"), make(["/usr/bin/python3", *words[1:]], tmp_path / "elsewhere" / "b")
    assert here.watched.parts.keys() == there.watched.parts.keys()
    assert {k: v for k, v in here.watched.parts.items() if k != "the command"} == {
        k: v for k, v in there.watched.parts.items() if k != "the command"
    }
    again = make([str(tmp_path / "a" / "src" / "train.py") if w == "src/train.py" else w for w in words], tmp_path)
    assert again.watched.parts["the command"] == here.watched.parts["the command"]


def test_a_study_names_the_file_that_changed(tmp_path):
    words, files, _ = WORLDS["sourced"]
    write(tmp_path, files)
    Study.create(tmp_path / "study", make(words, tmp_path), Design(models=4, heldout=0))
    (tmp_path / "lib" / "more.sh").write_text("false\n")
    with pytest.raises(MismatchError, match=r"changed: lib/more\.sh\)"):
        Study.open(tmp_path / "study", make(words, tmp_path))


def test_a_study_of_version_0_1_still_opens(tmp_path):
    words, files, _ = WORLDS["sourced"]
    write(tmp_path, files)
    task = make(words, tmp_path, data=["lib"])
    old = task.watched.old()
    assert not old.startswith("2:")
    from subtrain.tasks.watching.watched import fingerprint_like

    assert fingerprint_like(old, task) == old
    (tmp_path / "lib" / "more.sh").write_text("false\n")
    assert fingerprint_like(old, make(words, tmp_path, data=["lib"])) != old
