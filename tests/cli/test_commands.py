"""Every command as a user calls it: what it prints, what it writes."""

from __future__ import annotations

import gc
import json
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import pytest

from exporter import load_checkpoint
from exporter.checkpoints import write_safetensors
from runtime import Bundle, Generator
from runtime.spec import GeneratorSpec
from stylegan_edge.cli import COMMANDS, run
from tests.tiny import tiny_checkpoint, tiny_spec, tiny_stylegan1_spec, tiny_stylegan3_spec


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a command in an empty folder that must succeed; returns what it printed."""
    monkeypatch.chdir(tmp_path)

    def run_command(*arguments: object) -> str:
        code = run([str(item) for item in arguments])
        captured = capsys.readouterr()
        assert (code, captured.err) == (0, "")
        return captured.out

    return run_command


def test_help_lists_every_command(call: Any) -> None:
    text = call("--help")
    assert all(name in text for name in COMMANDS)
    for name in COMMANDS:
        assert "Usage: stylegan-edge" in call(name, "--help")


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    shown = capsys.readouterr().err
    assert all(name in shown for name in COMMANDS)


def test_generate_writes_one_png_a_seed(call: Any, tiny_bundle: Bundle) -> None:
    call("generate", tiny_bundle.path, "--seeds", "0-2,42", "--psi", "0.7", "-o", "out")
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "seed0000.png",
        "seed0001.png",
        "seed0002.png",
        "seed0042.png",
    ]
    expected = Generator.load(tiny_bundle).generate([42], psi=0.7)[0]
    assert (imageio.imread("out/seed0042.png") == expected).all()


def test_generate_adds_to_a_folder_and_replaces_with_force(call: Any, tiny_bundle: Bundle) -> None:
    call("generate", tiny_bundle.path, "--seeds", "1", "-o", "out")
    call("generate", tiny_bundle.path, "--seeds", "2", "-o", "out")
    call("generate", tiny_bundle.path, "--seeds", "1,2", "-o", "out", "--force", "--noise", "none")
    assert len(list(Path("out").iterdir())) == 2


def test_grid_is_one_contact_sheet(call: Any, tiny_bundle: Bundle) -> None:
    call("generate", tiny_bundle.path, "--seeds", "0-6", "--grid", "-o", "out")
    assert [path.name for path in Path("out").iterdir()] == ["grid.png"]
    assert imageio.imread("out/grid.png").shape == (3 * 16, 3 * 16, 3)


def test_grey_and_conditional_images(call: Any, tmp_path: Path) -> None:
    write_safetensors(tiny_checkpoint(c_dim=3, img_channels=1), tmp_path / "grey.safetensors")
    call("export", "grey.safetensors", "-o", "grey")
    call("generate", "grey", "--seeds", "1", "--class", "2", "-o", "out")
    assert imageio.imread("out/seed0001.png").shape == (16, 16)


def test_images_with_transparency(call: Any, tmp_path: Path) -> None:
    write_safetensors(tiny_checkpoint(img_channels=4), tmp_path / "rgba.safetensors")
    call("export", "rgba.safetensors", "-o", "rgba")
    call("generate", "rgba", "--seeds", "1-2", "--grid", "-o", "out")
    assert imageio.imread("out/grid.png").shape == (16, 32, 4)


def test_mix_draws_sources_and_mixes(call: Any, tiny_bundle: Bundle) -> None:
    call("mix", tiny_bundle.path, "--rows", "1-2", "--cols", "5-7", "--layers", "0-1", "-o", "mix.png")
    sheet = imageio.imread("mix.png")
    assert sheet.shape == (3 * 16, 4 * 16, 3)
    generator = Generator.load(tiny_bundle)
    assert np.abs(sheet[:16, 16:32].astype(int) - generator.generate([5])[0]).max() <= 1
    assert np.abs(sheet[16:32, :16].astype(int) - generator.generate([1])[0]).max() <= 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # imageio-ffmpeg leaves pipes open
@pytest.mark.parametrize("name", ["film.mp4", "film.gif"])
def test_interpolate_writes_a_film(call: Any, tiny_bundle: Bundle, name: str) -> None:
    call("interpolate", tiny_bundle.path, "--seeds", "0-2", "--frames", "6", "--fps", "10", "-o", name)
    assert imageio.imread(name).shape == (6, 16, 16, 3)
    gc.collect()


def test_inspect_shows_a_checkpoint(call: Any, demo_checkpoint: Path) -> None:
    text = call("inspect", demo_checkpoint)
    for fact in ("NVIDIA PyTorch pickle", "stylegan2", "skip", "64 x 64, 3 channels", "481,728", "noise_08", "G_ema"):
        assert fact in text


@pytest.mark.parametrize(
    ("spec", "facts"),
    [
        (tiny_stylegan1_spec(lod=1.4), ("stylegan1", "1.4 of 0 to 2: drawn at 8 px", "psi 0.7, the first 2 rows")),
        (tiny_stylegan3_spec(radial=True), ("stylegan3", "1 x 1", "radial in 2 of 5 layers", "L0_", "input")),
    ],
    ids=["StyleGAN", "StyleGAN3"],
)
def test_inspect_shows_what_is_special(call: Any, tmp_path: Path, spec: GeneratorSpec, facts: tuple[str, ...]) -> None:
    write_safetensors(tiny_checkpoint(spec), tmp_path / "network.safetensors")
    text = call("inspect", tmp_path / "network.safetensors")
    assert [fact for fact in facts if fact not in text] == []
    assert json.loads(call("inspect", tmp_path / "network.safetensors", "--json"))["layers"]


@pytest.mark.parametrize(
    ("spec", "facts"),
    [
        (tiny_stylegan1_spec(use_noise=False), {"noise maps": "none", "bias": "after the blur"}),
        (tiny_spec(use_noise=False), {}),
        (tiny_stylegan3_spec(radial=True), {}),
    ],
    ids=["StyleGAN", "StyleGAN2", "StyleGAN3"],
)
def test_inspect_says_that_a_network_takes_no_noise(
    call: Any, stylegan3_bundle: Bundle, tmp_path: Path, spec: GeneratorSpec, facts: dict[str, str]
) -> None:
    write_safetensors(tiny_checkpoint(spec), tmp_path / "network.safetensors")
    bundle = stylegan3_bundle.path if spec == stylegan3_bundle.spec else tmp_path / "bundle"
    if bundle == tmp_path / "bundle":
        call("export", tmp_path / "network.safetensors", "-o", bundle)
    for path in (tmp_path / "network.safetensors", bundle):
        lines = [line.split("  ", 1) for line in call("inspect", path).splitlines() if "  " in line]
        shown = {name: value.strip() for name, value in lines}
        expected = {"noise": "none: the network takes none", "noise inputs": "0", **facts}
        assert {name: shown.get(name) for name in expected} == expected
        assert "noise_00" not in call("inspect", path)
        document = json.loads(call("inspect", path, "--json"))
        assert (document["noise"], document["noise_inputs"]) == (expected["noise"], [])


def test_export_takes_a_level_of_detail(call: Any, tmp_path: Path) -> None:
    write_safetensors(tiny_checkpoint(tiny_stylegan1_spec(lod=1.5)), tmp_path / "network.safetensors")
    for options, lod, maps in (([], 1.5, 4), (["--lod", "0"], 0.0, 6), (["--lod", "0.25"], 0.25, 6)):
        call("export", tmp_path / "network.safetensors", "-o", tmp_path / "bundle", "--force", *options)
        spec = Bundle(tmp_path / "bundle").spec
        assert (spec.synthesis.level_of_detail, len(spec.noise_inputs)) == (lod, maps)
        call("verify", tmp_path / "bundle", "--reference", tmp_path / "network.safetensors", "--samples", "2")


def test_generate_turns_and_moves(call: Any, stylegan3_bundle: Bundle, tmp_path: Path) -> None:
    """A turn by a quarter turns the picture itself: configuration R is equivariant to it exactly."""
    pictures = {}
    for name, options in (("still", ["--rotate", "0"]), ("turned", ["--rotate", "90"]), ("own", [])):
        call("generate", stylegan3_bundle.path, "--seeds", "1", "-o", tmp_path / name, *options)
        pictures[name] = imageio.imread(tmp_path / name / "seed0001.png").astype(int)
    assert np.abs(np.rot90(pictures["still"]) - pictures["turned"]).max() <= 1
    assert (pictures["own"] == pictures["turned"]).all()  # what the checkpoint stores
    call("generate", stylegan3_bundle.path, "--seeds", "1", "-o", tmp_path / "moved", "--translate", "0.25,-0.25")


def test_inspect_json_is_one_document(call: Any, demo_checkpoint: Path, tiny_bundle: Bundle) -> None:
    document = json.loads(call("inspect", demo_checkpoint, "--json"))
    assert document["specification"]["mapping"]["z_dim"] == 128
    assert len(document["layers"]) == 14
    assert json.loads(call("inspect", tiny_bundle.path, "--json"))["num_ws"] == 6


def test_convert_keeps_every_weight(call: Any, demo_checkpoint: Path) -> None:
    call("convert", demo_checkpoint, "-o", "avatars.safetensors")
    original, converted = load_checkpoint(demo_checkpoint), load_checkpoint("avatars.safetensors")
    assert converted.spec == original.spec
    assert set(converted.weights) == set(original.weights)
    assert all((converted.weights[name] == array).all() for name, array in original.weights.items())


def test_export_verify_and_generate_with_a_mask(call: Any, tmp_path: Path) -> None:
    write_safetensors(tiny_checkpoint(), tmp_path / "tiny.safetensors")
    call("export", "tiny.safetensors", "-o", "bundle", "--mix", "A:0-1,B*0.5+A*0.5:2-5", "--pipeline")
    text = call("verify", "bundle", "--reference", "tiny.safetensors", "--samples", "4", "--batch", "1,3")
    assert "the images are the right ones" in text
    call("generate", "bundle", "--seeds", "1-4", "-o", "out")
    assert sorted(path.name for path in Path("out").iterdir()) == ["seed0001-0002.png", "seed0003-0004.png"]


def test_verify_json_holds_every_figure(call: Any, tiny_bundle: Bundle) -> None:
    document = json.loads(call("verify", tiny_bundle.path, "--json", "--batch", "1,2"))
    assert document["passed"] is True
    assert {(item["graph"], item["batch"]) for item in document["figures"]} == {
        (graph, batch) for graph in ("mapping", "synthesis", "pipeline") for batch in (1, 2)
    }
    assert all(item["allowed_relative"] == 1e-4 for item in document["figures"])


def test_verify_says_when_images_differ(
    call: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny_bundle: Bundle
) -> None:
    """A checkpoint of the same specification with one weight changed: exit code 1, and the table says by how much."""
    checkpoint = tiny_checkpoint()
    weights = {name: array.copy() for name, array in checkpoint.weights.items()}
    weights["synthesis.b8.conv0.weight"][0, 0, 0, 0] += 0.1
    other = type(checkpoint)(checkpoint.spec, weights, checkpoint.source, checkpoint.name, checkpoint.sha256)
    write_safetensors(other, tmp_path / "other.safetensors")
    code = run(["verify", str(tiny_bundle.path), "--reference", "other.safetensors", "--samples", "2", "--batch", "1"])
    output = capsys.readouterr().out
    assert code == 1
    assert "FAILED synthesis against reference, batch 1" in output
    assert "FAILED: the images differ" in output


def test_demo_does_everything(call: Any) -> None:
    text = call("demo", "-o", "demo")
    assert text.count(" ok ") == 24
    assert imageio.imread("demo/grid.png").shape == (3 * 64, 8 * 64, 3)
    assert Bundle("demo/avatars-64").spec.resolution == 64
