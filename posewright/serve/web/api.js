// Requests to the server.  The token is a header, kept for this tab alone; addresses are relative.

const KEY = "posewright-token";
let ask = null; // a promise while the visitor is asked for the token

/** Return the headers of a request. */
function headers() {
  const token = sessionStorage.getItem(KEY);
  return token ? { Authorization: `Bearer ${token}` } : {};
}

/** Ask for the token once, however many requests wait for it. */
function askToken(told) {
  ask ??= new Promise((resolve) => {
    const dialog = document.getElementById("token");
    const field = document.getElementById("token-field");
    document.getElementById("token-told").textContent = told;
    field.value = "";
    dialog.addEventListener("close", () => {
      const given = dialog.returnValue === "ok" ? field.value.trim() : "";
      field.value = "";
      if (given) sessionStorage.setItem(KEY, given);
      ask = null;
      resolve(Boolean(given));
    }, { once: true });
    dialog.returnValue = "";
    dialog.showModal();
  });
  return ask;
}

/** Return the answer of the server; an Error holds its line where it is none. */
export async function request(path, options = {}) {
  for (;;) {
    const given = sessionStorage.getItem(KEY);
    const answer = await fetch(path, { ...options, headers: { ...options.headers, ...headers() } });
    if (answer.ok) return answer;
    const told = await line(answer);
    if (answer.status !== 401) throw new Error(told);
    const other = given !== sessionStorage.getItem(KEY); // given by another request meanwhile
    if (!other && !(await askToken(given ? "This token is not one of the server's." : ""))) {
      throw new Error(told);
    }
  }
}

async function line(answer) {
  try {
    return (await answer.json()).detail;
  } catch {
    return `the server answered ${answer.status}`;
  }
}

export const json = async (path, options) => (await request(path, options)).json();
export const post = (path, body) => json(path, { method: "POST", body });

/** Return the network that the server estimates images with, so that jobs use the same. */
export async function network() {
  const { models } = await json("v1/models");
  return models.find((model) => model.default).name;
}

/** Upload a form; `tell` hears the share that has arrived. */
export async function upload(path, form, tell, signal) {
  return new Promise((resolve, reject) => {
    const sent = new XMLHttpRequest();
    sent.open("POST", path);
    for (const [name, value] of Object.entries(headers())) sent.setRequestHeader(name, value);
    sent.upload.onprogress = (event) => tell(event.loaded / event.total);
    sent.onerror = () => reject(new Error("the server does not answer; check that it runs"));
    sent.onabort = () => reject(new DOMException("stopped", "AbortError"));
    sent.onload = () => {
      let body = {};
      try { body = JSON.parse(sent.responseText); } catch { /* told below */ }
      if (sent.status < 300) resolve(body);
      else reject(new Error(body.detail ?? `the server answered ${sent.status}`));
    };
    signal?.addEventListener("abort", () => sent.abort());
    sent.send(form);
  });
}

/** Follow the events of a job until it ends: hear(name, data). */
export async function events(job, hear, signal) {
  const answer = await request(`v1/jobs/${job}/events`, { signal });
  let name = "";
  for await (const text of lines(answer)) {
    if (text.startsWith("event: ")) name = text.slice(7);
    if (text.startsWith("data: ")) hear(name, JSON.parse(text.slice(6)));
  }
}

/** Yield the lines of an answer as they arrive. */
export async function* lines(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    const found = (rest + (value ?? "")).split("\n");
    rest = done ? "" : found.pop();
    yield* found;
    if (done) return;
  }
}

/** Wait for the end of a job; `tell` hears its progress.  An Error holds the line of a failure. */
export async function ended(job, tell, signal) {
  for (;;) {
    await events(job, (name, data) => name === "progress" && tell(data), signal);
    const told = await json(`v1/jobs/${job}`, { signal });
    if (told.status === "done") return told;
    if (["failed", "cancelled"].includes(told.status)) {
      throw new Error(told.error || `the job was ${told.status}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 1000)); // the server was restarted
  }
}
