# Adaptive tests by the R package catR (Magis & Barrada, 2017, Journal of Statistical Software 76,
# Code Snippet 1), whose output tests/test_catr.py holds our interviewers to:
#   Rscript tests/golden/catr.R > tests/golden/catr.json
# Recorded with catR 3.17 and jsonlite 1.8.4 under R 4.2.2.
library(catR)

bank <- rbind( # a, b1..b4 of ten items of five categories
  c(0.64, -2.75, -1.10, 0.35, 2.40),
  c(0.93, -1.86, -0.72, 0.41, 1.58),
  c(1.17, -0.55, -0.38, -0.21, 0.06),
  c(1.42, -2.91, -2.33, -1.64, -0.87),
  c(1.58, 0.44, 1.05, 1.77, 2.69),
  c(1.73, -1.48, -0.61, 0.52, 1.36),
  c(1.95, 0.18, 0.29, 0.47, 0.95),
  c(2.14, -1.92, -1.25, -0.33, 0.78),
  c(2.37, -0.14, 0.66, 1.21, 2.05),
  c(2.58, -1.07, -0.98, -0.26, 0.12))
answers <- list( # of three people, item by item, the lowest category is 0
  c(2, 3, 1, 2, 3, 2, 1, 3, 2, 2),
  c(4, 4, 4, 4, 3, 4, 4, 4, 4, 4),
  c(0, 3, 1, 0, 2, 4, 0, 1, 3, 0))
everything <- seq_len(nrow(bank))
grid <- c(-4, 4, 161) # 161 points of theta, under a standard normal prior

# One person: items 1..10 in the order asked, the criterion's value of each, the posterior mean and
# standard deviation of theta after each answer, and the expected posterior variance of every item.
interview <- function(given, criterion) {
  asked <- x <- NULL
  theta <- 0
  record <- list(item = c(), value = c(), theta = c(), sd = c(), epv = list())
  for (step in everything) {
    found <- nextItem(bank, model = "GRM", theta = theta, out = asked, x = x, D = 1,
                      criterion = criterion, priorDist = "norm", priorPar = c(0, 1), parInt = grid)
    record$epv[[step]] <- sapply(everything, function(item) {
      if (item %in% asked) return(NA)
      EPV(bank, item, x = x, theta = theta, it.given = bank[asked, , drop = FALSE], model = "GRM",
          priorDist = "norm", priorPar = c(0, 1), D = 1, parInt = grid)
    })
    asked <- c(asked, found$item)
    x <- c(x, given[found$item])
    items <- bank[asked, , drop = FALSE]
    theta <- eapEst(items, x, model = "GRM", D = 1, priorDist = "norm", priorPar = c(0, 1),
                    lower = -4, upper = 4, nqp = 161)
    record$item <- asked
    record$value <- c(record$value, as.numeric(found$info))
    record$theta <- c(record$theta, theta)
    record$sd <- c(record$sd, eapSem(theta, items, x, model = "GRM", D = 1, priorDist = "norm",
                                     priorPar = c(0, 1), lower = -4, upper = 4, nqp = 161))
  }
  record
}

at <- c(-2, -0.5, 0, 1.3)
cat(jsonlite::toJSON(list(
  bank = bank, answers = answers, at = at,
  probs = lapply(at, function(theta) Pi(theta, bank, model = "GRM", D = 1)$Pi),
  information = lapply(at, function(theta) Ii(theta, bank, model = "GRM", D = 1)$Ii),
  fisher = lapply(answers, interview, criterion = "MFI"),
  variance = lapply(answers, interview, criterion = "MEPV")
), digits = NA, na = "null"), "\n")
