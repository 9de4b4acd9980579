// Files in every format that `posewright predict` writes, by a job of this kind.

import { ended, network, upload } from "./api.js";
import { $, bytes, el, say } from "./dom.js";

const FORMATS = ["jsonl", "csv", "coco", "alphapose", "alphapose-cmu", "alphapose-open", "openpose", "parquet", "images", "video"];

export class Files {
  constructor() {
    $("format").append(...FORMATS.map((name) => el("option", { value: name }, name)));
    $("write").onclick = () => this.write($("format").value);
    this.of([], {});
  }

  /** Write files of these sources from now on. */
  of(sources, options) {
    [this.sources, this.options] = [sources, options];
    $("written").replaceChildren();
    $("write").parentElement.hidden = !sources.length;
  }

  /** List files of a job; each is an address that the browser saves. */
  show(files) {
    const rows = files.map(({ name, bytes: size, href }) =>
      el("li", {}, el("a", { href, download: name.split("/").pop() }, name), el("span", { className: "quiet" }, bytes(size))));
    $("written").append(...rows);
  }

  async write(format) {
    const form = new FormData();
    const { sources } = this;
    const all = { kind: "predict", save: format, ...this.options };
    for (const [name, value] of Object.entries(all)) form.append(name, value);
    $("write").disabled = true;
    say(`Writing ${format} …`);
    try {
      form.append("model", await network());
      for (const file of sources) form.append("file", file, file.name);
      const job = await upload("v1/jobs", form, () => {});
      const told = await ended(job.id, ({ done, total }) => say(`Writing ${format}: ${done} of ${total ?? "?"} …`));
      if (sources !== this.sources) return; // others are shown meanwhile; the job keeps its files
      this.show(told.files);
      say(`${format} is written; its files are listed under Files.`);
    } catch (error) {
      say(error.message, true);
    } finally {
      $("write").disabled = false;
    }
  }
}
