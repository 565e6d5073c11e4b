"""Words that say nothing of what a text is about."""

STOP_WORDS = frozenset(
    """
    a about above after again against all also am an and any are aren't as at be because been before being
    below between both but by can can't cannot could couldn't did didn't do does doesn't doing don't down
    during each either else etc ever every few for from further had hadn't has hasn't have haven't having he
    her here hers herself him himself his how however i if in into is isn't it its itself just let's me more
    most much must mustn't my myself neither no nor not of off on once only onto or other our ours ourselves
    out over own per quite rather same shall shan't she should shouldn't since so some such than that the
    their theirs them themselves then there these they this those though through thus to too under until up
    upon us very was wasn't we were weren't what whatever when where whether which while who whom whose why
    will with within without won't would wouldn't yet you your yours yourself yourselves
    arent cant couldnt didnt doesnt dont hadnt hasnt havent isnt lets mustnt shant shouldnt wasnt werent
    wont wouldnt
    """.split()  # noqa: SIM905 - a table of words is read more easily than a list of strings
)
"""English, as written after case folding; names of months and people are kept out of it."""

ASKING_WORDS = frozenset(
    """
    anyone anything describe discuss discussed discussing discussion discussions explain find get give happen
    happened happening know look mention mentioned mentioning please regarding recall recap remember remind
    said say saying says search show someone something summarise summarize summary talk talked talking talks
    tell think thinks thought told concerning conversation conversations everything
    """.split()  # noqa: SIM905 - as above
)
"""Words a question is dressed in, not what it asks for; left out of questions only."""

QUESTION_FORMS = frozenset("go goes going gone went kind kinds many might sort sorts type types".split())  # noqa: SIM905 - as above
"""More of them, of questions alone: 'how many', 'what kind of', 'where did she go'."""

TALK_WORDS = frozenset(
    """
    actually ago ah almost already alright always another anyway away back basically best better big bit came
    clear come comes coming cool course day days definitely different done easy else em enough er erm example
    exactly fact far fine first gets getting go goes going gone gonna good got great guess guys ha happy hard
    hello hey hi hm hmm huh kind kinda kinds know knows last later least left less let like likely little
    long look looking looks lot lots made make makes making many matter maybe mean means might mm mmm nah need
    needs never new next nice now obviously oh ok okay old one ones part parts perhaps place point
    possible possibly pretty probably put quick quite ready really right said say second see seem seems
    set show side simple since small sorry sort stuff sure take takes talking thank thanks thing things think
    thinking third thought three time times tried true try trying two uh uhm um use used uses using usually
    wanna want wanted wants way ways week weeks well went whatever whole wish work works wow yeah year years
    yep yes yup thx ty np lol omg haha gn imo btw bye
    """.split()  # noqa: SIM905 - as above
)
"""Words so common in talk that they tell no text from another, though a person may well search for some."""

LINKING_WORDS = frozenset("a an and but from if into nor of or that the when which while with".split())  # noqa: SIM905 - as above
"""Words with more to come: a line that ends in one is the first part of something."""
