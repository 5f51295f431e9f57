"""`rfdsm generate`: what networks generate, the exact law of the samples and simulations of the same."""

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from rfdsm.cli.generation_options import DEFAULTS, ENDS, RULES, GenerateOptions
from rfdsm.cli.options import GENERATION_OUTPUT, Config
from rfdsm.cli.settings import RFDSM, Settings, resolve

if TYPE_CHECKING:
    from rfdsm.sampling import Sampler


def generate(
    *,
    options: Annotated[GenerateOptions, Parameter(name="*")] = GenerateOptions(),  # noqa: B008
    config: Config = None,
) -> None:
    """What networks generate: the exact law of the samples, a table, generation.png and generation.nc.

    Example: rfdsm generate --psi-n 3 --psi-p 2 --m 2 --target velocity --steps 12 --simulate --d 64
    """
    from rfdsm.cli import build, environment, output

    settings = resolve("generate", options, config, RFDSM._replace(defaults={**RFDSM.defaults, **DEFAULTS}))
    paths = output.folder(settings, GENERATION_OUTPUT, "generation")
    if "t" in settings.given:
        raise ValueError("t is not used by rfdsm generate: --levels, or --first and --last, say the times")
    if settings.get("dtype") != "float64":
        raise ValueError(f"dtype = {settings['dtype']} must be float64 in rfdsm generate")
    environment.start_jax(double=True, cache=settings.get("cache", True))
    rows = build.data(settings) if "data" in settings else None
    if isinstance(settings["d"], list):
        raise ValueError(f"d = {settings['d']} must be one dimension in rfdsm generate")
    sampler = _sampler(settings)
    settings["t"] = sampler.levels[0]
    problem = build.problem(settings, rows)

    import rfdsm
    from rfdsm.datasets import generation

    options_of_law = {"start": settings["start"]} if "start" in settings else {}
    with output.delivery(*paths) as delivery:
        with output.note_if_slow("solving the law of the samples; the first time this compiles …"):
            law = rfdsm.generated_law(problem, sampler, **options_of_law)
        found = None
        if settings["simulate"]:
            with output.progress("simulating") as report:
                found = rfdsm.simulate_generation(
                    problem,
                    sampler,
                    settings["d"],
                    **{name: settings[name] for name in ("samples", "trials", "networks", "key")},
                    **options_of_law,
                    data=rows,
                    progress=report,
                )
        dataset = generation(problem, sampler, law, found, networks=settings["networks"])
        for table in _tables(problem, sampler, law, found):
            delivery.show(table)
        delivery.save(dataset, paths[0])
        for picture in paths[1:]:
            delivery.draw(lambda: rfdsm.plots.generation(dataset), picture)


def _sampler(settings: Settings) -> "Sampler":
    from rfdsm import sampling, schedules
    from rfdsm.arguments import field

    name, _, eta = settings["sampler"].partition(":")
    rules: dict[str, Any] = {name: getattr(sampling, name) for name in ("ddim", "ddpm", "euler", "reverse_sde")}
    if name not in rules or (eta and name != "ddim"):
        raise ValueError(f"sampler = {settings['sampler']} must be one of {', '.join(rules)}, or ddim:ETA")
    if "levels" in settings:
        for other in ("rule", "first", "last", "steps"):
            if other in settings.given:
                raise ValueError(f"{other} must not be given with levels")
        levels = settings["levels"]
    else:
        if settings["rule"] not in RULES:
            raise ValueError(f"rule = {settings['rule']} must be one of {', '.join(RULES)}")
        schedule = settings["schedule"].partition(":")[0]
        ends = zip(("first", "last"), ENDS.get(schedule, ENDS["ou"]), strict=True)
        first, last = (settings.get(end, float(given)) for end, given in ends)
        if settings["rule"] == "table":
            levels = sampling.table(int(first), settings["steps"])
        else:
            levels = getattr(sampling, settings["rule"])(first, last, settings["steps"])
    found = rules[name](levels, float(eta)) if eta else rules[name](levels)
    schedule = schedules.get(settings["schedule"])
    field("levels", found.levels[:-1], (schedule.allowed, schedule.holds))
    return found


def _tables(problem: Any, sampler: "Sampler", law: Any, found: Any) -> Any:
    """The law of each problem, and what was simulated beside it."""
    import numpy as np

    from rfdsm import tables

    at_all = {name: np.ravel(getattr(law, name)) for name in ("trace", "kl", "reverse_kl", "bhattacharyya")}
    columns = {title: [f"{value:.6g}" for value in values] for title, values in at_all.items()}
    if not np.all(law.converged):
        columns["converged"] = ["yes" if value else "no" for value in np.ravel(law.converged)]
    ends = f"t = {sampler.levels[0]:g} to {sampler.levels[-1]:g}"
    yield tables.cells(problem, columns, f"law of samples, {sampler.name}, {sampler.size} steps, {ends}")
    if found is None:
        return
    yield tables.simulated_generation(law, found)
