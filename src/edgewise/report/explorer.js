// Sliders over what the policies chose beforehand: every state is looked up, none is computed here.
"use strict";
(() => {
  const { explorers, charts } = edgewise.data;
  const ms = (value) => `${value < 1000 ? Number(value.toPrecision(3)) : value.toFixed(0)} ms`;
  const percent = (share) => `${(100 * share).toFixed(1)} %`;

  function unpacked([inTime, effective, ...chances]) {
    const models = [];
    for (let i = 0; i < chances.length; i += 2) models.push([chances[i], chances[i + 1]]);
    return { inTime, effective, models };
  }

  function start(key, table) {
    const card = document.getElementById(key);
    const input = (name) => document.getElementById(`${key}-${name}`);
    const [deadline, network, policy] = ["deadline", "network", "policy"].map(input);
    const called = (model) => (model < 0 ? "refused" : table.models[model]);

    function answers({ models }) {
      if (models.length === 1) return called(models[0][0]);
      const said = models.slice(0, 3).map(([model, share]) => `${called(model)} (${percent(share)})`);
      if (models.length > 3) said.push(`${models.length - 3} more`);
      return said.join(" or ");
    }

    function sentence(pick, limit, net) {
      const where = `Deadline ${ms(limit)}, network ${net.name}: ${policy.value}`;
      if (pick.models[0][0] < 0) {
        return `${where} refuses at once: no model is likely enough to be in time.`;
      }
      return `${where} answers with ${answers(pick)}: ${percent(pick.inTime)} in time, ` +
        `${pick.effective.toFixed(1)} % right and in time.`;
    }

    function line(pick, limit, net) {
      const model = pick.models[0][0];
      const service = model < 0 ? 0 : table.median[model];
      const whole = Math.max(limit, net.ms + service) * 1.04;
      const wide = (value) => `${((100 * value) / whole).toFixed(2)}%`;
      const [bar, words] = card.querySelector(".line").children;
      bar.querySelector(".network").style.width = wide(net.ms);
      bar.querySelector(".service").style.width = wide(service);
      bar.querySelector("b").style.left = wide(limit);
      const says = words.querySelectorAll("span");
      says[0].textContent = `network ${ms(net.ms)}`;
      says[1].textContent = model < 0 ? "no answer" : `${called(model)} ${ms(service)}`;
      says[2].textContent = `deadline ${ms(limit)}`;
    }

    function show(slider, text) {
      slider.setAttribute("aria-valuetext", text);
      slider.nextElementSibling.textContent = text;
    }

    // The marks on the section's maps: a map that is not drawn yet says when it is.
    function mark(place) {
      if (!place.view || !charts[place.id].spec.params?.some((each) => each.name === "at_deadline")) return;
      place.view.signal("at_deadline", table.deadlines[deadline.value]);
      place.view.signal("at_network", table.networks[network.value].name).runAsync();
    }
    const maps = [...card.closest("section").querySelectorAll(".chart")];
    for (const place of maps) place.addEventListener("drawn", () => mark(place));

    function update() {
      const limit = table.deadlines[deadline.value];
      const net = table.networks[network.value];
      const at = (place) => unpacked(table.picks[place][network.value][deadline.value]);
      show(deadline, ms(limit));
      show(network, net.name);
      const pick = at(policy.selectedIndex);
      const said = sentence(pick, limit, net);
      const output = card.querySelector("output");
      if (output.textContent !== said) output.textContent = said;
      line(pick, limit, net);
      for (const row of card.querySelectorAll("[data-policy]")) {
        const theirs = at(row.dataset.policy);
        const cells = row.querySelectorAll("td");
        cells[0].textContent = answers(theirs);
        cells[1].textContent = percent(theirs.inTime);
        cells[2].textContent = `${theirs.effective.toFixed(1)} %`;
        row.classList.toggle("chosen", Number(row.dataset.policy) === policy.selectedIndex);
      }
      maps.forEach(mark);
    }
    for (const each of [deadline, network, policy]) each.addEventListener("input", update);
    update();
  }

  for (const [key, table] of Object.entries(explorers)) start(key, table);
})();
