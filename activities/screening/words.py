"""What single words of names are worth: particles, titles, legal forms and trade words weigh little.

These are our own tables, kept short on purpose: a word that is not here counts in full.
"""

from typing import Final

from activities.screening.spelling import fold

INITIAL_WEIGHT: Final = 0.4
NUMBER_WEIGHT: Final = 1.3
"""Numbers tell ships, branches and brigades apart."""

ARABIC_ARTICLES: Final = frozenset(("al", "el", "ul", "ur", "ar", "as", "ash", "az", "ad", "an", "at"))

_PARTICLE: Final = 0.2
_TITLE: Final = 0.15
_LEGAL: Final = 0.1
_TRADE: Final = 0.45
_PLACE: Final = 0.6
_PATRONYMIC: Final = 0.5
"""Slavic patronymics are left out as often as given; two that differ still tell two people apart."""

_PATRONYMIC_ENDS: Final = (
    "ovich", "evich", "avich", "ovych", "evych", "ovna", "evna", "avna", "ivna", "owna", "ewna",
    "awna", "auna", "euna",
)  # fmt: skip

_PARTICLES: Final = """
    al el ul ur as ash az ad an ar at bin ben ibn ould wuld bint bte binti ap y e i de da das do dos
    del della dello di du la las le les los lo van von der den ter ten zu zur und and of the te
    st san santa
""".split()  # noqa: SIM905 - a table of words reads best as text
_TITLES: Final = """
    mr mrs ms miss mister dr doctor prof professor sir dame lord lady sheikh shaikh shaykh sheik cheikh
    sayyid sayed seyed sayyed seyyed syed haji hajji hadji haj hajj mullah mulla maulavi
    mawlawi maulvi maulana mawlana moulana ustad ustaz qari hafiz imam ayatollah hojjatoleslam general
    gen colonel col captain capt major maj brigadier brig lieutenant lt admiral adm marshal engineer eng
    minister president excellency honorable honourable hon jr junior sr senior ii iii iv
""".split()  # noqa: SIM905 - a table of words reads best as text
_LEGALS: Final = """
    llc jsc ltd limited inc incorporated corp corporation co company companies sa sas sarl srl spa ag
    gmbh kg plc bv nv oy ab as aps asa ooo oao zao pao pjsc pvt private lp llp fze fzc fzco fz est
    soe sal rl jscl jscc spr stichting sherkat va ve wa en to fi lil sp
    cia cie scs sac obshchestvo aktsionernoe ogranichennoi otvetstvennostyu zakrytoe otkrytoe publichnoe
    sociedad anonima responsabilidad limitada capital variable societe anonyme gesellschaft stock joint
    sdn bhd pte pty cv de c v sl ca ltda eirl spol sro kft doo dd ad eood ood the of and for y et und e
    la le el los las des du del di da al van von der den
""".split()  # noqa: SIM905 - a table of words reads best as text
_TRADES: Final = """
    trading trade general international intl group holding holdings industries industry industrial
    import export services service shipping lines line transport transportation logistics bank banking
    investment investments development construction engineering establishment enterprise enterprises
    foundation organization organisation association center centre institute university national
    commercial global petroleum oil gas energy technology technologies systems solutions management
    consulting corporation comercial comercializadora inversiones distribuidora exchange money network
    foods food market markets supermarket marine maritime airlines airways aviation hotel construcciones
    constructora agropecuaria transportes ganadera inmobiliaria importadora exportadora
    industrias comercio internacional servicios agropecuarias agricola agricolas grupo compania credit
    construccion inversion manufacturing production security offshore overseas financial finance business
    brigade brigades front movement army party union committee relief charity society research
""".split()  # noqa: SIM905 - a table of words reads best as text

_PLACES: Final = """
    iran iranian korea korean china chinese russia russian syria syrian iraq iraqi cuba cuban mexico
    colombia venezuela lebanon lebanese libya libyan sudan yemen pakistan afghanistan afghan turkey
    ukraine crimea dubai tehran moscow pyongyang havana islamic arab arabian persian gulf asia asian
    africa african europe european america american hong kong south north east west eastern western
    global world
""".split()  # noqa: SIM905 - a table of words reads best as text

_PERSON: Final[dict[str, float]] = {
    **dict.fromkeys(_TITLES, _TITLE),
    **dict.fromkeys(_PARTICLES, _PARTICLE),
}
_ENTITY: Final[dict[str, float]] = {
    **dict.fromkeys(_PLACES, _PLACE),
    **dict.fromkeys(_TRADES, _TRADE),
    **dict.fromkeys(_LEGALS, _LEGAL),
}
_MISSPELLABLE: Final = 6
"""Letters from which on a word one letter off still counts as the light word it was meant to be."""

_LETTERS_MAX: Final = 40
"""Letters of a word that can be a misspelt one: longer ones are no words of a name."""

_CLIPPED: Final = frozenset(("ltda", "gmbh"))
"""Short forms that no word starts like, so that they are known with a letter wrong though short."""

_CLIPPED_START: Final = frozenset(word[:2] for word in _CLIPPED)
_SOUNDING: Final = 3
"""Letters from which on a word that sounds like a light word counts as it."""


def _one_letter_out(word: str) -> set[str]:
    return {word[:at] + word[at + 1 :] for at in range(len(word))}


_MEANT: Final[dict[str, str]] = {
    **{
        cut: word
        for word in _ENTITY
        if len(word) >= _MISSPELLABLE or word in _CLIPPED
        for cut in _one_letter_out(word)
    },
    **{fold(word): word for word in _ENTITY if len(fold(word)) >= _SOUNDING},
    **{word: word for word in _ENTITY},
}
"""Every light word by itself, by its sound, and by itself with one letter left out."""


def entity_weight(token: str) -> float:
    """What a word of an entity's name weighs, also where a light word has one letter wrong."""
    meant = _MEANT.get(token) or _MEANT.get(fold(token))
    clipped = len(token) <= _MISSPELLABLE - 1 and token[:2] in _CLIPPED_START
    if meant is None and (clipped or _MISSPELLABLE - 1 <= len(token) <= _LETTERS_MAX):
        meant = next((_MEANT[cut] for cut in sorted(_one_letter_out(token)) if cut in _MEANT), None)
    return 1.0 if meant is None else _ENTITY[meant]


def person_weight(token: str) -> float:
    """What a word of a person's name weighs."""
    weight = _PERSON.get(token)
    if weight is None:
        weight = _PATRONYMIC if token.endswith(_PATRONYMIC_ENDS) else 1.0
    return weight
