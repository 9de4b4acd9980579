"""Write docs/demo.webp, the moving image of the README, from what `posewright demo` writes.

posewright demo -o posewright-demo
python tools/draw_moving_picture.py posewright-demo/three-people.mp4
"""

from __future__ import annotations

import argparse
from pathlib import Path

import av
from PIL import Image

WIDTH = 320  # px
EVERY = 2  # of the film's frames
QUALITY = 55


def main() -> None:
    """Shrink the film and keep every second frame, at its own speed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("film", type=Path, metavar="FILE")
    args = parser.parse_args()
    with av.open(str(args.film)) as container:
        stream = container.streams.video[0]
        rate = float(stream.average_rate or 25)
        images = [f.to_image() for n, f in enumerate(container.decode(stream)) if n % EVERY == 0]
    height = round(WIDTH * images[0].height / images[0].width)
    small = [image.resize((WIDTH, height), Image.Resampling.LANCZOS) for image in images]
    out = Path(__file__).parents[1] / "docs" / "demo.webp"
    small[0].save(
        out,
        save_all=True,
        append_images=small[1:],
        duration=round(1000 * EVERY / rate),
        loop=0,
        quality=QUALITY,
        method=6,
    )
    print(f"{out}: {len(small)} frames, {out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
