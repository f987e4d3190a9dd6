// Links that MLflow's clients print lead to the pages here: `#/experiments/0/runs/<id>`,
// `#/experiments/0/models/m-<id>`, `#/models/<name>/versions/<n>`, `#/models/<name>`,
// `#/experiments/0`.

const ROUTES = [
  [/^#\/experiments\/[^/]+\/runs\/([^/?]+)/, (run) => `/runs/${run}`],
  [/^#\/experiments\/[^/]+\/models\/([^/?]+)/, (model) => `/logged-models/${model}`],
  [/^#\/models\/([^/?]+)\/versions\/(\d+)/, (name, number) => `/models/${name}/versions/${number}`],
  [/^#\/models\/([^/?]+)/, (name) => `/models/${name}`],
  [/^#\/models/, () => "/models"],
  [/^#\/experiments\/([^/?]+)/, (experiment) => `/runs?experiment=${experiment}`],
  [/^#\/experiments/, () => "/runs"],
];

function follow() {
  for (const [shape, page] of ROUTES) {
    const found = shape.exec(location.hash);
    if (found === null) continue;
    // Encoded anew, so that nothing in a link can lead anywhere but to a page of this site.
    const parts = found.slice(1).map((one) => encodeURIComponent(decodeURIComponent(one)));
    location.replace(page(...parts));
    return;
  }
}

window.addEventListener("hashchange", follow);
follow();
