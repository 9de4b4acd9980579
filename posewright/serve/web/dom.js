// Elements made of text alone: no string ever becomes markup.

/** Return an element with properties, attributes ("aria-…", "data-…", "for"), events (on…) and children. */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name.includes("-") || name === "for" || name === "role") node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

export const $ = (id) => document.getElementById(id);

/** Tell everybody, those who listen to the page too, what happened. */
export function say(text, bad = false) {
  const box = $("said");
  box.textContent = text;
  box.classList.toggle("bad", bad);
  box.hidden = !text;
}

/** Return "1.2 MB". */
export function bytes(count) {
  const units = ["B", "kB", "MB", "GB"];
  let unit = 0;
  while (count >= 1000 && unit < units.length - 1) [count, unit] = [count / 1000, unit + 1];
  return `${count < 10 && unit ? count.toFixed(1) : Math.round(count)} ${units[unit]}`;
}

/** Return "1:02.50" for seconds. */
export function clock(seconds) {
  const minutes = Math.floor(seconds / 60);
  return `${minutes}:${(seconds - 60 * minutes).toFixed(2).padStart(5, "0")}`;
}
