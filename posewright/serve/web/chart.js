// What the time line and the plot share: a canvas over time, its axis, and the head that moves.

const LEFT = 44;
const RIGHT = 10;

export class Chart {
  constructor(canvas, head, seek) {
    [this.canvas, this.bar, this.span] = [canvas, head, [0, 1]];
    const go = (event) => seek(this.timeOf(event.offsetX));
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      go(event);
    });
    canvas.addEventListener("pointermove", (event) => event.buttons && go(event));
  }

  /** Return a pen on an empty canvas of this height in px, and its colours. */
  begin(height) {
    const dots = window.devicePixelRatio || 1;
    const width = this.canvas.parentElement.clientWidth;
    this.canvas.style.height = `${height}px`;
    [this.canvas.width, this.canvas.height] = [width * dots, height * dots];
    [this.width, this.height] = [width, height];
    const pen = this.canvas.getContext("2d");
    pen.scale(dots, dots);
    const style = getComputedStyle(this.canvas);
    [this.ink, this.faint] = [style.color, style.borderTopColor]; // resolved for light or dark
    pen.font = "11px system-ui, sans-serif";
    pen.textBaseline = "middle";
    return pen;
  }

  x(time) {
    const [begin, end] = this.span;
    return LEFT + (time - begin) / (end - begin) * (this.width - LEFT - RIGHT);
  }

  timeOf(x) {
    const [begin, end] = this.span;
    return begin + (x - LEFT) / (this.width - LEFT - RIGHT) * (end - begin);
  }

  head(time) {
    if (this.width) this.bar.style.transform = `translateX(${this.x(time)}px)`;
  }

  /** Draw the times below. */
  axis(pen) {
    const step = nice((this.span[1] - this.span[0]) / Math.max(2, this.width / 110));
    pen.fillStyle = this.ink;
    pen.textAlign = "center";
    for (let time = 0; time <= this.span[1] + 1e-9; time += step) {
      pen.fillStyle = this.faint;
      pen.fillRect(Math.round(this.x(time)), 0, 1, this.height - 18);
      pen.fillStyle = this.ink;
      const text = `${Number(time.toFixed(2))} s`;
      const half = pen.measureText(text).width / 2;
      pen.fillText(text, Math.min(this.x(time), this.width - half - 1), this.height - 8);
    }
  }
}

/** Return a round number that is at least this large. */
export function nice(number) {
  const power = 10 ** Math.floor(Math.log10(number));
  return [1, 2, 5, 10].find((factor) => factor * power >= number * 0.999) * power;
}
