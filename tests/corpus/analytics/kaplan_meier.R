# Writes kaplan_meier.jsonl: what R's survival package says of some data sets. Run it in the folder of this file.
library(survival)
library(jsonlite)

made_by <- sprintf("R %s, survival %s", getRversion(), packageVersion("survival"))
shares <- c(0.001, 0.01, 0.1, 0.25, 0.3, 0.5, 0.7, 0.75, 0.8, 0.9, 0.99, 1)

reference <- function(data, time, observed, level = 0.95) {
  fit <- survfit(Surv(time, observed) ~ 1, conf.type = "log-log", conf.int = level)
  at <- summary(fit, censored = TRUE)
  line <- list(
    data = unbox(data), made_by = unbox(made_by), level = unbox(level),
    subjects = data.frame(duration = time, observed = observed == 1),
    points = data.frame(
      time = at$time, at_risk = at$n.risk, events = at$n.event, censored = at$n.censor, survival = at$surv,
      std_error = ifelse(is.nan(at$std.err), NA, at$std.err), lower = at$lower, upper = at$upper
    ),
    quantiles = data.frame(share = shares, time = unname(quantile(fit, shares, conf.int = FALSE)))
  )
  # 15 significant digits, and null where there is none.
  toJSON(line, dataframe = "values", digits = NA, na = "null")
}

lung <- read.csv("lung.csv")
set.seed(1958)
weeks <- function(n) rpois(n, 6)
coin <- function(n, p) rbinom(n, 1, p)

lines <- c(
  reference("lung", lung$time, lung$status == 2),
  reference("lung", lung$time, lung$status == 2, 0.8),
  reference("lung", lung$time, lung$status == 2, 0.999),
  reference("many ties, zeros among them", rpois(300, 2), coin(300, 0.6)),
  reference("ties and few events", weeks(120), coin(120, 0.1)),
  reference("hardly a tie", round(rexp(150, 0.01), 3), coin(150, 0.7)),
  reference("durations far apart", round(10^runif(60, -3, 4), 3), coin(60, 0.5)),
  reference("all events", weeks(50), rep(1, 50)),
  reference("all events, no ties", sample(40), rep(1, 40)),
  reference("all censored", weeks(20), rep(0, 20)),
  reference("all at zero", rep(0, 9), coin(9, 0.5)),
  reference("all at once", rep(7, 4), rep(1, 4)),
  reference("one event", 5, 1),
  reference("one event at zero", 0, 1),
  reference("one censored", 5, 0),
  reference("level at a half, an event after it", c(1, 2, 3, 4, 5, 6), c(1, 1, 1, 0, 0, 1)),
  reference("level at a half, no event after it", c(1, 2, 3, 4, 5, 6), c(1, 1, 1, 0, 0, 0)),
  reference("censored before the first event", c(1, 1, 2, 3, 3, 4, 8), c(0, 0, 0, 1, 0, 1, 1)),
  reference("the last censored with the last event", c(2, 3, 3, 9, 9), c(1, 0, 1, 1, 0))
)
writeLines(lines, "kaplan_meier.jsonl")
