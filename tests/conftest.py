import hypothesis

# The same examples in every run, so that a red test is about the change at hand; `pytest --hypothesis-profile=random`
# looks for new ones.
hypothesis.settings.register_profile("same", derandomize=True)
hypothesis.settings.register_profile("random", derandomize=False, max_examples=300)
hypothesis.settings.load_profile("same")
