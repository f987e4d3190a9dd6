"""Names for runs and logged models that nobody named; called by the actions that make them."""

from __future__ import annotations

import secrets
from typing import Final

_ADJECTIVES: Final = tuple(
    """
    able agile amber ample apt azure bold brave bright brisk calm candid clean clear
    clever cool coral crisp curious dapper daring deft eager early easy even exact
    fair fast fine fleet fond frank free fresh gentle glad golden good grand green
    handy happy hardy honest ideal jolly keen kind large light lively loyal lucid
    lucky mellow merry mild modest neat new nimble noble open orderly patient plain
    polite proud quick quiet rapid rare ready rich robust rosy round royal sharp
    silent silver simple smart smooth sober solid sound spry steady still strong sunny
    sure swift tall tidy true upbeat vivid warm wise witty young zesty
    """.split()  # noqa: SIM905 - a hundred quoted words would fill a page
)
_NOUNS: Final = tuple(
    """
    acorn ant ape badger bat bear beaver bee birch bison boar brook bug calf canary
    cedar clam cloud cod colt coral cow crab crane creek crow cub deer dove duck eagle
    eel elk elm ewe falcon fern finch fir fish foal fox frog gnat goat goose grouse
    gull hare hawk hen heron horse hound ibis jay koala lamb lark linden lion lynx
    maple mink mole moose moth mouse mule newt oak ocelot orca oryx otter owl ox panda
    perch pine plover pony puma quail ram raven ray river robin rook salmon seal shad
    shark sheep shrew skunk sloth smelt snail snipe sparrow spruce squid squirrel stag
    stoat stork swan tern thrush tiger toad trout turtle vole walrus wasp whale willow
    wolf wren yak zebra
    """.split()  # noqa: SIM905 - a hundred quoted words would fill a page
)
_NUMBERS: Final = 1000
_NAMES: Final = len(_ADJECTIVES) * len(_NOUNS) * _NUMBERS


def new_name() -> str:
    """Return a made-up name.

    Returns
    -------
    str
        An adjective, a noun and a number of up to three digits, such as ``calm-otter-17``.
    """
    # One draw for all three: this stands on the way of every run that nobody named.
    rest, number = divmod(secrets.randbelow(_NAMES), _NUMBERS)
    adjective, noun = divmod(rest, len(_NOUNS))
    return f"{_ADJECTIVES[adjective]}-{_NOUNS[noun]}-{number}"
