"""Wrong checkpoints, options and outputs: one line that says what, exit code 2, and nothing left behind."""

from __future__ import annotations

import os
import pickle
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Refused, listing


class _OsSystem:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch executed",)


CHECKPOINTS = {
    "empty": (b"", "the file is empty"),
    "text": (b"not a checkpoint", "the file is of an unknown kind"),
    "an announcement of 10 GB": (b"\x80\x04\x8e" + struct.pack("<Q", 10 << 30) + b".", "10737418240 bytes announced"),
    "os.system": (pickle.dumps(_OsSystem()), "system, which no supported format contains; it was not run"),
    "getattr": (b"\x80\x04cbuiltins\ngetattr\n)R.", "refers to builtins.getattr, which no supported format contains"),
    "a discriminator only": (pickle.dumps({"D": None}), "no generator: it holds 'D', expected 'G_ema'"),
}
COMMANDS = (
    "inspect network.pkl",
    "inspect --json network.pkl",
    "convert network.pkl -o new/file",
    "export network.pkl -o new/bundle",
)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_a_wrong_checkpoint_is_named(kind: str, command: str, refused: Refused, folder: Path) -> None:
    data, message = CHECKPOINTS[kind]
    (folder / "network.pkl").write_bytes(data)
    assert message in refused(command)
    assert not (folder / "executed").exists()


def test_a_truncated_checkpoint_is_named(refused: Refused, folder: Path, demo_checkpoint: Path) -> None:
    (folder / "network.pkl").write_bytes(demo_checkpoint.read_bytes()[:100_000])
    assert "truncated" in refused("export network.pkl -o bundle")


@pytest.mark.parametrize("at", [13, 88, 200, 301])
def test_a_flipped_bit_in_the_structure_is_named(
    at: int, refused: Refused, folder: Path, demo_checkpoint: Path
) -> None:
    data = bytearray(demo_checkpoint.read_bytes())
    data[at] ^= 4
    (folder / "network.pkl").write_bytes(data)
    assert "network.pkl: the " in refused("export network.pkl -o bundle")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("export missing.pkl -o bundle", "missing.pkl: can't be read (No such file or directory)"),
        ("inspect missing.pkl", "missing.pkl: can't be read (No such file or directory)"),
        ("convert missing.pkl -o new/file", "missing.pkl: can't be read"),
        ("export . -o bundle", "is a directory, expected a checkpoint file"),
        ("inspect .", "has no manifest.json, so it is not a bundle"),
        ("generate missing --seeds 1 -o new", "missing: no such folder; expected a bundle"),
        ("generate sound.safetensors --seeds 1 -o new", "is a file, expected a bundle's folder"),
        ("verify .", "has no manifest.json, so it is not a bundle"),
        ("verify {bundle} --reference missing.pkl", "missing.pkl: can't be read"),
        ("verify {bundle} --reference orig.safetensors", "is not this bundle's checkpoint"),
    ],
)
def test_a_path_that_holds_something_else_is_named(command: str, message: str, refused: Refused) -> None:
    assert message in refused(command)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--precision nonsense", "precision 'nonsense' is unknown, expected fp32"),
        ("--precision fp32,", "precision '' is unknown"),
        ("--resolution 48", "resolution 48 is not one of this network's: 4, 8, 16"),
        ("--resolution 32", "resolution 32 is not one of this network's"),
        ("--resolution 0", "0 is not in the range x>=4"),
        ("--resolution many", "'many' is not a valid integer"),
        ("--noise loud", "'loud' is not one of 'explicit', 'const', 'none'"),
        ("--mix A*0.3+B*0.3:0-5", "row 0 sums to 0.6, expected 1; scale its weights"),
        ("--mix A:0-4", "mixing mask row 5 has no source"),
        ("--mix A:0-3,B:3-5", "mixing mask row 3 is given twice"),
        ("--mix A:0-6", "mixing mask rows 0-6 are out of range, expected 0 to 5"),
        ("--mix A:5-0", "mixing mask rows 5-0 are out of range"),
        ("--mix garbage", "mixing mask term 'garbage' is not understood"),
        ("--mix A*nan:0-5", "mixing mask source 'A*nan' is not understood"),
        ("--mix A*1e999:0-5", "mixing mask"),
        ("--mix A*1e-:0-5", "is not a number"),
        ("--mix A:0-" + "9" * 5000, "mixing mask"),
        ("--mix ,", "mixing mask term '' is not understood"),
        ("--lod 0.5", "only StyleGAN (1) networks grow progressively; leave it out"),
        ("--lod -1", "-1.0 is not in the range x>=0"),
        ("--lod nan", "nan"),
        ("--lod half", "'half' is not a valid float"),
        ("--unknown", "No such option"),
        ("--force=yes", "--force"),
    ],
)
def test_a_wrong_option_of_export_is_named(options: str, message: str, refused: Refused) -> None:
    assert message in refused(f"export sound.safetensors -o new/bundle {options}")


def test_a_network_with_one_output_can_not_stop_early(refused: Refused) -> None:
    assert "only 'skip' networks can stop early" in refused("export orig.safetensors -o new/bundle --resolution 8")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--seeds 3-1", "the range '3-1' runs backwards; write 1-3"),
        ("--seeds a", "'a' is not a number or a range; expected like 0-7,42"),
        ("--seeds 1,,2", "'' is not a number or a range"),
        ("--seeds -1", "'-1' is not a number or a range"),
        ("--seeds 1.5", "'1.5' is not a number or a range"),
        ("--seeds 99999999999", "seed 99999999999 is out of range, expected 0 to 4294967295"),
        ("--seeds 0-99999999", "names over 10,000,000 seeds"),
        ("--seeds 1,2,1", "a seed is given twice"),
        ("--seeds 1 --psi nan", "expected a finite number"),
        ("--seeds 1 --psi inf", "expected a finite number"),
        ("--seeds 1 --psi=-inf", "expected a finite number"),
        ("--seeds 1 --psi much", "'much', expected a number"),
        ("--seeds 1 --cutoff 7", "cutoff 7 is out of range, expected 0 to 6 rows"),
        ("--seeds 1 --cutoff -1", "-1 is not in the range x>=0"),
        ("--seeds 1 --class 0", "this generator is unconditional: leave it out"),
        ("--seeds 1 --rotate 10", "a transform was given, but stylegan2 takes none: leave it out"),
        ("--seeds 1 --translate 0,0", "a transform was given, but stylegan2 takes none: leave it out"),
        ("--seeds 1 --rotate nan", "rotate is nan, expected a finite number"),
        ("--seeds 1 --rotate 1e7", "rotate is 1e+07, expected a finite number from -1e+06 to 1e+06"),
        ("--seeds 1 --rotate left", "'left' is not a valid float"),
        ("--seeds 1 --translate 1", "'1' is not two numbers like 0.25,-0.1"),
        ("--seeds 1 --translate 1,2,3", "'1,2,3' is not two numbers"),
        ("--seeds 1 --translate a,b", "'a,b' is not two numbers"),
        ("--seeds 1 --translate inf,0", "translate is inf, expected a finite number"),
        ("--seeds 1 --noise loud", "'loud' is not const, none or a seed"),
        ("--seeds 1 --noise -1", "'-1' is not const, none or a seed"),
        ("--seeds 1 --noise ²", "'²' is not const, none or a seed"),
        ("--seeds 1 --noise 4294967296", "seed 4294967296 is out of range"),
        ("--seeds 1 --noise " + "9" * 5000, "seed"),
        ("--seeds 1 --batch 0", "0 is not in the range 1<=x<=256"),
        ("--seeds 1 --threads 0", "0 is not in the range x>=1"),
        ("--seeds 1 --backend abacus", "'abacus' is not one of"),
        ("--grid", "Missing option '--seeds'"),
    ],
)
def test_a_wrong_option_of_generate_is_named(options: str, message: str, refused: Refused) -> None:
    assert message in refused(["generate", "{bundle}", "-o", "new/pictures", *options.split()])


def test_an_empty_seed_list_is_named(refused: Refused) -> None:
    assert "'' is not a number or a range" in refused(["generate", "{bundle}", "-o", "new", "--seeds", ""])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", "this generator is conditional: give a class, 0 to 2"),
        ("--class 3", "class 3 is out of range, expected 0 to 2"),
    ],
)
def test_a_conditional_generator_asks_for_its_class(options: str, message: str, refused: Refused) -> None:
    assert message in refused(f"generate {{conditional}} --seeds 1 -o new/pictures {options}")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("paint", "No such command 'paint'"),
        ("--unknown", "No such option"),
        ("generate", "Missing option '--seeds'"),
        ("generate --seeds 1 -o x", "images come from a BUNDLE or from --server URL, and neither is given"),
        ("generate {bundle} --seeds 1", "Missing option '-o' / '--output'"),
        ("export sound.safetensors", "Missing option '-o' / '--output'"),
        ("export sound.safetensors -o a b", "Got unexpected extra argument (b)"),
        ("mix {bundle} --rows 1 --cols 2 --layers 9 -o new/grid.png", "style row 9 is out of range, expected 0 to 5"),
        ("mix {bundle} --rows 1 --cols 2 --layers x -o new/grid.png", "'x' is not a number or a range"),
        ("mix {conditional} --rows 1 --cols 2 --layers 0 -o new/grid.png", "conditional: give a class"),
        ("interpolate {bundle} --seeds 1 -o new/film.jpeg", "the ending '.jpeg' is unknown, expected one of .mp4"),
        ("interpolate {bundle} --seeds 1 --fps nan -o new/film.gif", "nan"),
        ("interpolate {bundle} --seeds 1 --frames 0 -o new/film.gif", "0 is not in the range"),
        ("verify {bundle} --batch 0", "batch 0 is out of range, expected 1 to 256"),
        ("verify {bundle} --batch x --json", "'x' is not a number or a range"),
        ("verify {bundle} --samples 0", "0 is not in the range"),
    ],
)
def test_a_wrong_command_is_named(command: str, message: str, refused: Refused) -> None:
    assert message in refused(command)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("export sound.safetensors -o taken", "taken: exists already; choose another name, or pass --force"),
        ("export sound.safetensors -o taken --force", "taken: is not a bundle (no manifest.json), so --force will not"),
        ("export sound.safetensors -o notes.txt", "notes.txt: is a file, expected the name of a new folder"),
        ("export sound.safetensors -o notes.txt --force", "notes.txt: is a file"),
        ("export sound.safetensors -o notes.txt/bundle", "notes.txt/bundle: can't be written"),
        ("convert sound.safetensors -o notes.txt", "notes.txt: exists already; choose another name, or pass --force"),
        ("convert sound.safetensors -o taken --force", "taken: is a directory, expected the name of a file"),
        (
            "generate {bundle} --seeds 7,8 -o taken",
            "taken/seed0007.png: exists already; choose another folder, or pass",
        ),
        ("generate {bundle} --seeds 1 -o notes.txt", "notes.txt: is a file, expected a folder"),
        ("generate {bundle} --seeds 1 -o notes.txt/new", "can't be written"),
        ("generate {bundle} --seeds 8,7 --force -o blocked", "is a folder where a picture belongs"),
        ("mix {bundle} --rows 1 --cols 2 --layers 0 -o notes.txt", "notes.txt: exists already"),
        ("mix {bundle} --rows 1 --cols 2 --layers 0 -o taken --force", "taken: is a directory"),
        ("interpolate {bundle} --seeds 1 -o taken/film.gif", "taken/film.gif: exists already"),
    ],
)
def test_what_exists_is_kept(command: str, message: str, refused: Refused, folder: Path) -> None:
    for name in ("taken/seed0007.png", "taken/film.gif", "taken/thesis.txt", "blocked/seed0007.png/thesis.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")
    assert message in refused(command)


def test_the_installed_command_behaves_alike(folder: Path) -> None:
    before = listing(folder)
    done = subprocess.run(
        [sys.executable, "-m", "stylegan_edge", "export", "notes.txt", "-o", "bundle"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: notes.txt: the file is of an unknown kind")
    assert done.stderr.count("\n") == 1
    assert listing(folder) == before
