"""The command `antiphon`. Each command's module is imported when it runs, so that a server does not carry the chat's libraries."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="antiphon",
    help="One typed gRPC surface for building LLM applications.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
config_app = typer.Typer(help="Check and show the server's configuration.", no_args_is_help=True)
app.add_typer(config_app, name="config")
keys_app = typer.Typer(help="Make API keys.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")

ConfigFile = Annotated[Path | None, typer.Option("--config", "-c", help="The YAML file; by default ANTIPHON_CONFIG, else ./antiphon.yaml.")]
Target = Annotated[
    str | None,
    typer.Option(
        "--target", "-t", help="The server, host:port, with https:// before it for TLS; by default ANTIPHON_TARGET, else 127.0.0.1:50051."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
StateHome = Annotated[Path, typer.Option(envvar="XDG_STATE_HOME", hidden=True)]


def _tell_version(wanted: bool) -> None:  # noqa: FBT001  # typer's way to call it
    if wanted:
        from importlib.metadata import version

        typer.echo(f"antiphon {version('antiphon')}")
        raise typer.Exit


@app.callback()
def antiphon(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", callback=_tell_version, is_eager=True)] = False,  # noqa: FBT002  # an option
) -> None:
    """One typed gRPC surface for building LLM applications."""
    del version
    from antiphon.config import quiet_grpc

    quiet_grpc()


@app.command()
def serve(
    config: ConfigFile = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", "-w", min=1, max=64, help="Processes that serve the ports together; by default server.workers."),
    ] = None,
) -> None:
    """Run a server."""
    from antiphon.workers.startup import prepare_imports

    prepare_imports()
    from antiphon.cli.serve import serve as run_server

    raise typer.Exit(run_server(config, workers))


@config_app.command("check")
def config_check(config: ConfigFile = None) -> None:
    """Say whether the configuration can be used."""
    from antiphon.cli.config import check

    raise typer.Exit(check(config))


@config_app.command("show")
def config_show(config: ConfigFile = None) -> None:
    """Print the configuration in force, secrets masked."""
    from antiphon.cli.config import show

    raise typer.Exit(show(config))


@keys_app.callback()
def keys() -> None:
    """Make API keys."""


@keys_app.command("create")
def keys_create(
    principal: Annotated[str, typer.Option("--principal", "-p", help="Who will call with it, as in billing-service.")],
    tenant: Annotated[str, typer.Option("--tenant", help="Whose data it works on.")],
    role: Annotated[str, typer.Option("--role", "-r", help="What it may do: admin, user, monitor, or a role of auth.roles.")] = "user",
    expires: Annotated[str | None, typer.Option("--expires", help="When it ends: 2027-01-31, or 90d.")] = None,
    json: Json = False,  # noqa: FBT002  # an option
) -> None:
    """Make a key, print it this once, and print the entry by which a server knows it."""
    from antiphon.cli.keys import create

    raise typer.Exit(create(principal, tenant, role, expires, as_json=json))


@app.command()
def chat(  # noqa: PLR0917  # options
    prompt: Annotated[str | None, typer.Argument(help="Ask this and exit. What is piped in follows it.")] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="The model; by default the alias `default`, else the first.")] = None,
    system: Annotated[str, typer.Option("--system", "-s", help="Instructions for the model.")] = "",
    temperature: Annotated[float | None, typer.Option(min=0, max=2, help="Randomness.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="The most tokens of an answer.")] = None,
    target: Target = None,
    json: Annotated[bool, typer.Option("--json", help="Print each event of the answer as a line of JSON.")] = False,  # noqa: FBT002  # an option
    state_home: StateHome = Path("~/.local/state"),
) -> None:
    """Talk to a model, in the terminal or in a pipe."""
    from antiphon.cli.chat import chat as run_chat
    from antiphon.cli.chat_settings import ChatSettings

    settings = ChatSettings(model=model, system=system, temperature=temperature, max_tokens=max_tokens, as_json=json, state_home=state_home)
    raise typer.Exit(run_chat(prompt, settings, target))


@app.command()
def models(
    name: Annotated[str | None, typer.Argument(help="Describe this one, by name or alias.")] = None,
    target: Target = None,
    json: Json = False,  # noqa: FBT002  # an option
) -> None:
    """List the models of a server, or describe one."""
    from antiphon.cli.models import show_models

    raise typer.Exit(show_models(name, target, as_json=json))


@app.command()
def doctor(config: ConfigFile = None, target: Target = None, json: Json = False) -> None:  # noqa: FBT002  # an option
    """Say what works on this machine, what does not, and how to mend it."""
    from antiphon.cli.doctor import examine

    raise typer.Exit(examine(config, target, as_json=json))


def run() -> None:
    """Runs the command line; the entry point of the program."""
    app()
