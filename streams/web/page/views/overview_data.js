// The figures of the overview as the page keeps them: the ticks that have come so far, put together with each answer.

/** Keeps the last `ticks_max` ticks; an answer that tells a tick again replaces what was known of it. */
export class Figures {
  constructor() {
    this.ticks = [];
    this.byTick = new Map();
    this.answer = null;
  }

  /** From which tick on to ask: the last ones again, which some worker may have told late. */
  get since() {
    return this.answer && this.ticks.length ? Math.max(0, this.ticks.at(-1) - 3 * this.answer.tick_ms) : 0;
  }

  take(answer) {
    this.answer = answer;
    answer.ticks.forEach((tick, index) => {
      const at = (columns) => Object.fromEntries(Object.entries(columns).map(([label, values]) => [label, values[index]]));
      const each = (all) => Object.fromEntries(Object.entries(all).map(([name, columns]) => [name, at(columns)]));
      this.byTick.set(tick, { series: each(answer.series), latencies: each(answer.latencies) });
    });
    this.ticks = [...this.byTick.keys()].sort((a, b) => a - b);
    for (const tick of this.ticks.splice(0, Math.max(0, this.ticks.length - answer.ticks_max))) this.byTick.delete(tick);
  }

  /** The ticks of the last so many milliseconds. */
  last(milliseconds) {
    const from = (this.ticks.at(-1) ?? 0) - milliseconds;
    return this.ticks.filter((tick) => tick >= from);
  }

  #columns(kind, name, ticks) {
    const rows = ticks.map((tick) => this.byTick.get(tick)?.[kind][name] ?? null);
    const labels = new Set(rows.flatMap((row) => (row ? Object.keys(row) : [])));
    return Object.fromEntries([...labels].map((label) => [label, rows.map((row) => row?.[label] ?? null)]));
  }

  /** The columns of a series over these ticks; only the labels that are kept by `keep`. */
  series(name, ticks, keep = () => true) {
    return Object.fromEntries(Object.entries(this.#columns("series", name, ticks)).filter(([label]) => keep(label)));
  }

  latency(name, ticks) {
    return this.#columns("latencies", name, ticks);
  }

  /** The newest values of a series by label. */
  now(name) {
    return this.byTick.get(this.ticks.at(-1))?.series[name] ?? {};
  }

  /** The sum of the newest values; null where nobody counts it. */
  sum(name, keep = () => true) {
    const found = Object.entries(this.now(name)).filter(([label]) => keep(label));
    return found.length ? found.reduce((sum, [, value]) => sum + (value ?? 0), 0) : null;
  }

  /** The sum over the labels at each tick. */
  total(name, ticks, keep = () => true) {
    return ticks.map((tick) => {
      const row = this.byTick.get(tick)?.series[name];
      if (!row) return null;
      return Object.entries(row).filter(([label]) => keep(label)).reduce((sum, [, value]) => sum + (value ?? 0), 0);
    });
  }

  /** The newest quantile that is known, looking back some ticks: in a quiet minute there is none. */
  quantile(name, which) {
    for (const tick of this.ticks.slice(-5).reverse()) {
      const value = this.byTick.get(tick)?.latencies[name]?.[which];
      if (value !== null && value !== undefined) return value;
    }
    return null;
  }
}
