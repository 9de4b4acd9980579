// Search without a server.  Browsers start no worker from a page that was opened from the disk
// (file://), so this runs the worker's script in a hidden frame instead.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      this.frame.srcdoc = "<!doctype html>";
      this.ready = new Promise((resolve, reject) => {
        this.frame.addEventListener("load", () => this.#load(url).then(resolve, reject), { once: true });
      });
      document.body.append(this.frame);
    }

    async #load(url) {
      const inner = this.frame.contentWindow;
      const run = (src) =>
        new Promise((resolve, reject) => {
          const script = inner.document.createElement("script");
          script.src = src;
          script.addEventListener("load", resolve);
          script.addEventListener("error", reject);
          inner.document.head.append(script);
        });
      inner.importScripts = (...urls) => urls.reduce((done, src) => done.then(() => run(src)), Promise.resolve());
      inner.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      await run(new URL(url, location.href));
    }

    async postMessage(data) {
      await this.ready;
      this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data }));
    }

    terminate() {
      this.frame.remove();
    }
  };
}
