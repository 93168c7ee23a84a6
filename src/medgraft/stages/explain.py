"""work/champion, work/prepared -> work/explanation: what the champion's answers rest on."""

from __future__ import annotations

from medgraft.errors import NotExplained
from medgraft.stages.run import CHAMPION, EXPLANATION, PREPARED, run

PAGE = EXPLANATION / "explanation.html"


def explain() -> None:
    """Write the page, with the figure or the reason why there is none."""
    from medgraft.deployment.survey import survey
    from medgraft.preparation.arrays import read_json, write_json
    from medgraft.reporting import explanation

    EXPLANATION.mkdir(parents=True, exist_ok=True)
    strategy = read_json(CHAMPION / "champion.json")["strategy"]
    try:
        found = survey(CHAMPION, PREPARED)
    except NotExplained as reason:
        write_json({"not_explained": str(reason)}, EXPLANATION / "contributions.json")
        explanation.write(PAGE, strategy=strategy, figure=None, refusal=str(reason))
        print(f"explain: {reason}")
        return
    found.write(EXPLANATION / "contributions.json")
    of = explanation.counts(found.patients, found.replicas)
    bounds = (found.value, found.low, found.high)
    if found.picture is not None:
        figure = explanation.pixels(found.value.reshape(found.shape), found.picture, of)
    elif found.are_features:
        figure = explanation.features(found.names, *bounds, of)
    else:
        figure = explanation.positions(*bounds, of)
    (EXPLANATION / "contributions.svg").write_text(figure.svg, encoding="utf-8")
    explanation.write(PAGE, strategy=strategy, figure=figure, gap=found.gap)
    print(f"explained: {strategy}, in {PAGE}")


if __name__ == "__main__":
    run(explain, name="explain")
