// The counts of all protocols, followed live.

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
  const { alpn } = JSON.parse(data);
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
