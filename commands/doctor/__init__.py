"""What an operator asks on day two: is all well (`sendlens doctor`), and how far is each stage (`sendlens lag`)?"""
