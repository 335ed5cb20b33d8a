"""Sets of Atari games that have a name of their own."""

from collections.abc import Mapping
from typing import Final

# The 26 games of the Atari-100k benchmark: Kaiser et al., arXiv:1903.00374, table 3.
ATARI_100K: Final = (
    *("Alien", "Amidar", "Assault", "Asterix", "BankHeist", "BattleZone", "Boxing", "Breakout"),
    *("ChopperCommand", "CrazyClimber", "DemonAttack", "Freeway", "Frostbite", "Gopher", "Hero"),
    *("Jamesbond", "Kangaroo", "Krull", "KungFuMaster", "MsPacman", "Pong", "PrivateEye"),
    *("Qbert", "RoadRunner", "Seaquest", "UpNDown"),
)
# The games of Wang et al. 2016, arXiv:1511.06581, that are not among them.
ATARI_57: Final = tuple(
    sorted(
        (
            *ATARI_100K,
            *("Asteroids", "Atlantis", "BeamRider", "Berzerk", "Bowling", "Centipede", "Defender"),
            *("DoubleDunk", "Enduro", "FishingDerby", "Gravitar", "IceHockey", "MontezumaRevenge"),
            *("NameThisGame", "Phoenix", "Pitfall", "Riverraid", "Robotank", "Skiing", "Solaris"),
            *("SpaceInvaders", "StarGunner", "Surround", "Tennis", "TimePilot", "Tutankham"),
            *("Venture", "VideoPinball", "WizardOfWor", "YarsRevenge", "Zaxxon"),
        )
    )
)

SETS: Final[Mapping[str, tuple[str, ...]]] = {"atari100k": ATARI_100K, "atari57": ATARI_57}
