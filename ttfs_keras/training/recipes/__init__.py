"""What the kinds of networks need for a run: one recipe for each."""

from ttfs_keras.training.recipes.bats import BATSRecipe
from ttfs_keras.training.recipes.recipe import Recipe
from ttfs_keras.training.recipes.stbp import STBPRecipe
from ttfs_keras.training.recipes.ttfs import TTFSRecipe

RECIPES = {"SNN": TTFSRecipe, "ReLU": TTFSRecipe, "BATS": BATSRecipe, "STBP": STBPRecipe}

__all__ = ["RECIPES", "Recipe"]
