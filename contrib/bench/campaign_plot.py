"""A plot of rate against limit by provider: PNG, with Debian's python3-matplotlib."""
try:
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
except ImportError:
    pyplot = None

BINS = 200


def write(path, title, providers, answers, factor):
    """`answers` as those of campaign_judge.Judge. Times and rates are shown by the run's clock."""
    if pyplot is None:
        raise RuntimeError("python3-matplotlib is missing: contrib/install_packages bench")
    limited = [provider for provider in providers if provider.limits]
    figure, axes = pyplot.subplots(len(limited), 1, figsize=(11, 2.6 * len(limited)), constrained_layout=True,
                                   sharex=True)
    end = max((when for provider in limited for when, _ in answers[provider.name]), default=1.0) or 1.0
    width = end / BINS
    figure.suptitle(f"{title}; one second is {factor} of the world's")
    for provider, axis in zip(limited, axes):
        mine = answers[provider.name]
        for verdict, colour in (("accepted", "tab:blue"), ("deferred", "tab:red")):
            counts = [0] * (BINS + 1)
            for when, said in mine:
                if said == verdict:
                    counts[int(when / width)] += 1
            axis.plot([(number + 0.5) * width for number in range(BINS)], [count / width for count in counts[:BINS]],
                      color=colour, linewidth=1, label=verdict)
        steps = [(at, rate) for at, rate in provider.steps() if at <= end]
        axis.step([at for at, _ in steps] + [end], [rate for _, rate in steps] + [steps[-1][1]], where="post", color="black",
                  linewidth=1, label="hidden limit")
        axis.axhline(provider.ceiling, color="grey", linestyle=":", linewidth=1, label="our ceiling")
        axis.set_ylim(0, 1.15 * max(provider.ceiling, min(max(rate for _, rate in steps), 2 * provider.ceiling)))
        axis.set_title(provider.name, loc="left", fontsize=9)
        axis.set_ylabel("messages/s")
    axes[0].legend(loc="upper right", fontsize=7)
    axes[-1].set_xlabel("seconds")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
