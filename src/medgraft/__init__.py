"""medgraft: does transfer learning help a small clinical cohort?"""

__version__ = "0.1.0"
