"""Who is behind the screen: populations, item banks, response models, real respondents."""
