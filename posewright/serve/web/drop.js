// Files that are dropped, those of folders too.

/** Call `take` with the files that are dropped on `area`; `mark` is lit meanwhile. */
export function dropped(area, mark, take) {
  let depth = 0; // each child that is entered counts
  const lit = (change) => mark.classList.toggle("lit", (depth = Math.max(0, depth + change)) > 0);
  area.addEventListener("dragenter", () => lit(1));
  area.addEventListener("dragleave", () => lit(-1));
  area.addEventListener("dragover", (event) => event.preventDefault());
  area.addEventListener("drop", async (event) => {
    event.preventDefault();
    lit(-depth);
    const items = [...event.dataTransfer.items].filter((item) => item.kind === "file");
    const entries = items.map((item) => item.webkitGetAsEntry?.() ?? item.getAsFile());
    const found = await Promise.all(entries.filter(Boolean).map(filesOf));
    take(sorted(found.flat()));
  });
}

async function filesOf(entry) {
  if (entry instanceof File) return [entry];
  if (entry.isFile) return [await new Promise((done, failed) => entry.file(done, failed))];
  const reader = entry.createReader();
  const found = [];
  for (;;) { // a folder is told in portions
    const some = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!some.length) return (await Promise.all(found.map(filesOf))).flat();
    found.push(...some);
  }
}

/** Return files in the order in which people count: 2 before 10. */
export function sorted(files) {
  const order = new Intl.Collator("en", { numeric: true });
  const path = (file) => file.webkitRelativePath || file.name;
  return files.sort((a, b) => order.compare(path(a), path(b)));
}
