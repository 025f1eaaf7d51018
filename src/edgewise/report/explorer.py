"""The sliders as HTML, in the state that they begin with: so they stand on paper and without
scripts. `explorer.js` says the same of every other state; a test holds the two together."""

from __future__ import annotations

from html import escape

from edgewise.report.parts import Explorer
from edgewise.report.picks import REFUSED, Pick, Picks

#: Models among which lots are drawn, that are named at most.
_NAMED = 3


def html(explorer: Explorer, key: str) -> str:
    """A card with two sliders, the choice of a policy, what it does as a sentence that is read out
    when it changes, a line of time, and what every policy does."""
    picks = explorer.picks
    network, deadline = picks.start()
    options = "".join(f"<option>{escape(name)}</option>" for name in picks.policies)
    rows = "".join(_row(picks, place, network, deadline) for place in range(len(picks.policies)))
    return f"""<div class="card explorer" id="{key}">
<h3>{escape(explorer.title)}</h3><p>{escape(explorer.caption)}</p>
<div class="controls">
{_slider(key, "deadline", "Deadline", len(picks.deadlines_ms), deadline, _ms(picks.deadlines_ms[deadline]))}
{_slider(key, "network", "Network", len(picks.conditions), network, picks.conditions[network].label)}
<p><label for="{key}-policy">Policy</label><select id="{key}-policy">{options}</select></p>
</div>
<output for="{key}-deadline {key}-network {key}-policy" aria-live="polite">{escape(sentence(picks, 0, network, deadline))}</output>
{_line(picks, network, deadline)}
<div class="scroll" tabindex="0" role="region" aria-label="What each policy does">
<table class="choices"><caption>What each policy does</caption><thead><tr><th scope="col">policy</th>
<th scope="col">answers with</th><th scope="col" class="n">in time</th>
<th scope="col" class="n">right and in time</th></tr></thead><tbody>{rows}</tbody></table></div>
<p class="facts">n: {escape(explorer.n)} · unit: ms and percent · origin: {escape(explorer.origin)}</p>
</div>
"""  # noqa: E501 - as it stands in the page


def sentence(picks: Picks, policy: int, network: int, deadline: int) -> str:
    """What a policy does with one request."""
    pick = picks.picks[policy][network][deadline]
    where = (
        f"Deadline {_ms(picks.deadlines_ms[deadline])}, network {picks.conditions[network].label}: "
        f"{picks.policies[policy]}"
    )
    if pick.models[0][0] == REFUSED:
        return f"{where} refuses at once: no model is likely enough to be in time."
    return (
        f"{where} answers with {answers(picks, pick)}: {_percent(pick.in_time)} in time, "
        f"{pick.effective:.1f} % right and in time."
    )


def answers(picks: Picks, pick: Pick) -> str:
    """The models that may answer, with their chances where lots are drawn."""
    if len(pick.models) == 1:
        return picks.called(pick.models[0][0])
    shown = pick.models[:_NAMED]
    said = [f"{picks.called(model)} ({_percent(share)})" for model, share in shown]
    if others := len(pick.models) - len(shown):
        said.append(f"{others} more")
    return " or ".join(said)


def _slider(key: str, name: str, label: str, steps: int, at: int, value: str) -> str:
    return (
        f'<p><label for="{key}-{name}">{label}</label><input type="range" id="{key}-{name}" '
        f'min="0" max="{steps - 1}" step="1" value="{at}" aria-valuetext="{escape(value)}">'
        f'<span class="value" aria-hidden="true">{escape(value)}</span></p>'
    )


def _row(picks: Picks, policy: int, network: int, deadline: int) -> str:
    pick = picks.picks[policy][network][deadline]
    return (
        f'<tr data-policy="{policy}"><th scope="row">{escape(picks.policies[policy])}</th>'
        f"<td>{escape(answers(picks, pick))}</td>"
        f'<td class="n">{_percent(pick.in_time)}</td><td class="n">{pick.effective:.1f} %</td></tr>'
    )


def _line(picks: Picks, network: int, deadline: int) -> str:
    """Time as a line: what the network takes, what the likeliest model takes, the deadline."""
    model = picks.picks[0][network][deadline].models[0][0]
    ms, limit = picks.conditions[network].expected_ms, picks.deadlines_ms[deadline]
    service = 0.0 if model == REFUSED else picks.median_ms[model]
    whole = max(limit, ms + service) * 1.04
    wide = [100 * each / whole for each in (ms, service, limit)]
    called = "no answer" if model == REFUSED else f"{picks.called(model)} {_ms(service)}"
    return (
        f'<div class="line" aria-hidden="true"><div>'
        f'<i class="network" style="width:{wide[0]:.2f}%"></i>'
        f'<i class="service" style="width:{wide[1]:.2f}%"></i>'
        f'<b style="left:{wide[2]:.2f}%"></b></div>'
        f'<p><i class="network"></i><span>network {_ms(ms)}</span> <i class="service"></i>'
        f"<span>{escape(called)}</span> <b></b><span>deadline {_ms(limit)}</span></p></div>"
    )


def _ms(ms: float) -> str:
    """12.345 → '12.3 ms'; 1234 → '1234 ms'. As the page's script rounds: three digits."""
    return f"{float(f'{ms:.3g}'):g} ms" if ms < 1000 else f"{ms:.0f} ms"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
