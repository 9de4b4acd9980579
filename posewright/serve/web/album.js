// Pictures, each estimated when it is its turn; the one that is looked at first.

import { request } from "./api.js";
import { $, el, say } from "./dom.js";
import { Poses } from "./poses.js";

const AT_ONCE = 2;

export class Album {
  constructor(show) {
    this.show = show;
    this.close();
    $("picture").onload = () => this.tell();
    $("picture").onerror = () => $("picture").src && say("The browser cannot show this image.", true);
  }

  close() {
    for (const picture of this.pictures ?? []) URL.revokeObjectURL(picture.address);
    [this.pictures, this.at] = [[], 0];
    $("strip").replaceChildren();
    $("picture").removeAttribute("src");
  }

  open(files, signal) {
    this.pictures = files.map((file) => ({ file, name: file.name, address: URL.createObjectURL(file), poses: null, asked: false }));
    $("picture").hidden = false;
    $("strip").hidden = files.length < 2;
    $("strip").replaceChildren(...this.pictures.map((picture, number) => this.thumb(picture, number)));
    this.turn(0);
    for (let each = 0; each < AT_ONCE; each++) this.work(signal);
  }

  thumb(picture, number) {
    const image = el("img", { src: picture.address, alt: "", loading: "lazy" });
    picture.count = el("span", { className: "count" });
    picture.button = el("button", { title: picture.name, onclick: () => this.turn(number) }, image, picture.count);
    picture.button.setAttribute("aria-label", picture.name);
    return picture.button;
  }

  step(step) {
    this.turn(Math.max(0, Math.min(this.pictures.length - 1, this.at + step)));
  }

  turn(number) {
    this.pictures[this.at]?.button.removeAttribute("aria-current");
    this.at = number;
    const picture = this.pictures[number];
    picture.button.setAttribute("aria-current", "true");
    if (!$("strip").hidden) picture.button.scrollIntoView({ block: "nearest", inline: "nearest" });
    $("picture").src = picture.address;
    this.tell();
  }

  tell() {
    const picture = this.pictures[this.at];
    if (picture) this.show(picture.poses, { name: picture.name, element: $("picture") });
  }

  /** Estimate the pictures, from the one that is looked at on. */
  async work(signal) {
    while (!signal.aborted) {
      const { pictures, at } = this;
      const next = [...pictures.slice(at), ...pictures.slice(0, at)].find((each) => !each.asked);
      if (!next) return;
      next.asked = true;
      next.button.classList.add("busy");
      await this.estimate(next, signal);
      next.button.classList.remove("busy");
    }
  }

  async estimate(picture, signal) {
    const body = new FormData();
    body.append("image", picture.file, picture.name);
    try {
      const answer = await request("v1/pose", { method: "POST", body, signal });
      picture.poses = Poses.of(await answer.json());
      const people = picture.poses.people(0).length;
      picture.count.textContent = people;
      if (this.pictures[this.at] === picture) {
        this.tell();
        say(`${picture.name}: ${people} ${people === 1 ? "person" : "people"}.`);
      }
    } catch (error) {
      if (!signal.aborted) say(`${picture.name}: ${error.message}`, true);
    }
  }
}
