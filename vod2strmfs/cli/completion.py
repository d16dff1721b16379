"""`vod2strmfs completion`."""

import click

from vod2strmfs.cli.options import GroupedCommand, debug_option


@click.command(cls=GroupedCommand)
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@debug_option
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Write the completion script of a shell.

    bash: vod2strmfs completion bash > ~/.local/share/bash-completion/completions/vod2strmfs

    zsh: vod2strmfs completion zsh > ~/.zfunc/_vod2strmfs (where fpath has ~/.zfunc)

    fish: vod2strmfs completion fish > ~/.config/fish/completions/vod2strmfs.fish
    """
    from click.shell_completion import get_completion_class

    complete = get_completion_class(shell)
    assert complete is not None
    group = context.find_root().command
    click.echo(complete(group, {}, "vod2strmfs", "_VOD2STRMFS_COMPLETE").source())
