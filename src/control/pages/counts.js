// The counts of all protocols, and whether the broker is there, followed live.

const live = document.querySelector("#live");
const ledger = document.createElement("a");
ledger.href = "/ledger";
ledger.textContent = "/ledger";

function say(text) {
  live.replaceChildren(`${text} Also as JSON: `, ledger, ".");
}

const source = new EventSource("/ledger");
source.onopen = () => say("Live.");
source.onerror = () => say("The lab doesn’t answer; these are the last counts it gave.");
source.onmessage = ({ data }) => {
  const { alpn, broker } = JSON.parse(data);
  const state = document.querySelector("#broker");
  if (state) {
    // A status is read out whenever it is written: only when it changes.
    const text = broker ? state.dataset.there : state.dataset.away;
    if (state.textContent !== text) state.textContent = text;
  }
  for (const row of document.querySelectorAll("[data-alpn]")) {
    const counts = alpn[row.dataset.alpn];
    const values = {
      connections: counts?.connections.open ?? 0,
      streams: counts?.streams.open ?? 0,
      peak: counts?.streams.peak ?? 0,
    };
    for (const [name, value] of Object.entries(values)) {
      row.querySelector(`[data-count="${name}"]`).textContent = value;
    }
  }
};
