"""`rfdsm generate`: what networks generate, the exact law of the samples and simulations of the same."""

from typing import TYPE_CHECKING, Any

from rfdsm.cli._generation_options import GENERATION_DEFAULTS, GENERATION_OUTPUT, GenerateOptions
from rfdsm.cli._options import Config
from rfdsm.cli._settings import RFDSM, Settings, resolve

if TYPE_CHECKING:
    from rfdsm.sampling import Sampler


def generate(*, options: GenerateOptions = GenerateOptions(), config: Config = None) -> None:  # noqa: B008
    """What networks generate: the exact law of the samples, a table, generation.png and generation.nc.

    Example: rfdsm generate --psi-n 3 --psi-p 2 --m 2 --target velocity --steps 12 --simulate --d 64
    """
    from rfdsm.cli import _build as build, _environment as environment, _output as output

    settings = resolve("generate", options, config, RFDSM._replace(defaults={**RFDSM.defaults, **GENERATION_DEFAULTS}))
    paths = output.folder(settings, GENERATION_OUTPUT, "generation")
    settings.refuse("is not used by rfdsm generate: --levels, or --first and --last, say the times", "t")
    if settings.get("dtype") != "float64":
        raise ValueError(f"dtype = {settings['dtype']} must be float64 in rfdsm generate")
    environment.start_jax(double=True, cache=settings.get("cache", True))
    rows = build.data(settings) if "data" in settings else None
    if isinstance(settings["d"], list):
        raise ValueError(f"d = {settings['d']} must be one dimension in rfdsm generate")
    sampler = build.sampler(settings)
    settings["t"] = sampler.levels[0]
    problem = build.problem(settings, rows)

    import rfdsm
    from rfdsm import _tables as tables
    from rfdsm.datasets import generation

    options_of_law = {"start": settings["start"]} if "start" in settings else {}
    if "targets" in settings:
        _compared(settings, problem, sampler, paths, options_of_law)
        return
    if "best_ridge" in settings:
        raise ValueError("best_ridge needs targets")
    keep = settings.get("keep_samples", False)
    if keep and not settings["simulate"]:
        raise ValueError("keep_samples needs simulate")
    with output.delivery(*paths) as delivery:
        with output.note_if_slow("solving the law of the samples; the first time this compiles …"):
            law = rfdsm.generated_law(problem, sampler, **options_of_law)
        found = None
        if settings["simulate"]:
            with output.progress("simulating", "steps") as report:
                found = rfdsm.simulate_generation(
                    problem,
                    sampler,
                    settings["d"],
                    **{name: settings[name] for name in ("samples", "trials", "networks", "key")},
                    **options_of_law,
                    data=rows,
                    keep_samples=keep,
                    progress=report,
                )
        dataset = generation(problem, sampler, law, found, networks=settings["networks"])
        names = ("trace", "kl", "reverse_kl", "bhattacharyya")
        columns = {name: output.texts(getattr(law, name), ".6g") for name in names} | output.converged(law)
        delivery.show(tables.cells(problem, columns, f"law of samples, {sampler.name}, {_steps(sampler)}"))
        if found is not None:
            delivery.show(tables.simulated_generation(law, found))
        delivery.keep(dataset, lambda: rfdsm.plots.generation(dataset), paths)


def _compared(settings: Settings, problem: Any, sampler: "Sampler", paths: Any, options_of_law: dict[str, Any]) -> None:
    """Several targets: which generates best."""
    settings.refuse("must not be given with targets", "target", "simulate", "keep_samples", "data")
    best = settings.get("best_ridge", False)
    if best:
        settings.refuse("must not be given with best_ridge, which looks for it", "ridge")
    import rfdsm
    from rfdsm import _tables as tables
    from rfdsm._generated_model import GeneratedSamples
    from rfdsm.cli import _output as output

    model = GeneratedSamples.checked(sampler, 2, "independent")
    problem = model.without_times(problem)

    with output.delivery(*paths) as delivery:
        with output.progress("solving") as report:
            diagram = rfdsm.generation_diagram(
                problem, sampler, targets=settings["targets"], best_ridge=best, progress=report, **options_of_law
            )
        title = f"KL(generated || data)/d by target, {sampler}, {_steps(sampler)}"
        delivery.show(tables.best_targets(problem.at(target="noise"), model, diagram, title))
        drawable = problem.shape and max(problem.shape) > 1
        delivery.keep(diagram, lambda: rfdsm.plots.best_target(diagram), paths if drawable else paths[:1])


def _steps(sampler: "Sampler") -> str:
    return f"{sampler.size} steps, t = {sampler.levels[0]:g} to {sampler.levels[-1]:g}"
